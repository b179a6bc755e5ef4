"""docs/analyses.md, docs/mitigation_methods.md and docs/models.md, and the README's short lists."""

from scripts.method_pages import code, official, options_table, table
from tokviz import catalog
from tokviz.analysis import ANALYSES
from tokviz.mitigation import KINDS, MITIGATIONS
from tokviz.models.checkpoints.cards import TESTED
from tokviz.reduction import METHODS
from tokviz.reduction.method import PLACES

ANALYSES_HEAD = """# Analyses

Written from the code by `make docs`; what each analysis declares in its own file under
`tokviz/analysis/`. *Reads*: arrays of [the trace](trace_format.md); *asks*: further runs of the
model, which `vlm.analyse` makes. *Exact*: the numbers are what they say; *sampled*: they estimate
it; *heuristic*: a reading. Measured on the embedded model:
[what each costs](analyses_cost.md), and
[which maps agree with removal](agreement.md).
"""

MITIGATIONS_HEAD = """# Mitigations

Written from the code by `make docs`; what each mitigation declares in its own file under
`tokviz/mitigation/`. `tokviz.plan(mitigation="pai")` runs one, alone or with a method. What they
did on the embedded model: [measured](mitigations.md).
"""

MODELS_HEAD = """# Models

Written from the code by `make docs`. Any checkpoint of these families loads by Hub id or from a
folder; only safetensors are read, and never a repository's own code. A family is chosen by the
`model_type` in the checkpoint's config; [yours can be next](add_a_family.md).
"""


def analyses_page():
    """Return the page of all analyses."""
    parts = [ANALYSES_HEAD, catalog.markdown("analyses")]
    for entry in ANALYSES.values():
        parts += [f"## {entry.name}", f"**{entry.title}**{_paper(entry)}", entry.summary]
        parts += [entry.notes, f"*What it means*: {entry.meaning}"]
        parts += [f"*What it does not mean*: {entry.not_meaning}"]
        parts.append(f"{entry.exactness.capitalize()}. {entry.cost} {_needs(entry)}".rstrip())
        parts.append(options_table(entry))
    return _joined(parts)


def mitigations_page():
    """Return the page of all mitigations."""
    parts = [MITIGATIONS_HEAD, table(["Kind", "What it does"], [[*row] for row in KINDS.items()])]
    for entry in MITIGATIONS.values():
        stand_in = "" if entry.verified else " (stand-in, not verified against the paper)"
        parts += [f"## {entry.name}", f"**{entry.title}**{_paper(entry)}{stand_in}"]
        parts += [f"Kind: {', '.join(entry.kinds)}. Official code: {official(entry)}."]
        parts += [entry.summary, entry.notes, options_table(entry)]
    return _joined(parts)


def models_page():
    """Return the page of families and checkpoints."""
    told = "; ".join(f"*{name}*: {meaning}" for name, meaning in TESTED.items())
    offered = "## Offered by name\n\nAny other checkpoint of a family above loads as well. "
    offered += f"Memory is for the weights in 16 bits. Tested: {told}."
    return _joined([MODELS_HEAD, catalog.markdown("families"), offered, catalog.markdown("models")])


def methods_by_place():
    """Return the README's short list of methods, one row per place."""
    rows = [
        [place, ", ".join(_link(m.name, "methods") for m in METHODS.values() if m.acts_at == place)]
        for place in PLACES.values()
    ]
    return table(["Acts", "Methods"], rows)


def others():
    """Return the README's short list of analyses and mitigations."""
    return table(
        ["What", "Names"],
        [
            ["analyses", ", ".join(_link(name, "analyses") for name in ANALYSES)],
            ["mitigations", ", ".join(_link(name, "mitigation_methods") for name in MITIGATIONS)],
        ],
    )


def _link(name, page):
    return f"[`{name}`](docs/{page}.md#{name})"


def _paper(entry):
    return f" ([paper]({entry.paper}), {entry.year})" if entry.paper else ""


def _needs(entry):
    reads = f"Reads {code(entry.needs)}." if entry.needs else ""
    asks = f"Asks for {code(entry.asks)}." if entry.asks else ""
    return f"{reads} {asks}".strip()


def _joined(parts):
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
