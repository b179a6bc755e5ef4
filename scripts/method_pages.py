"""docs/methods.md and docs/signals.md, written from what methods and signals declare."""

from tokviz.method_filters import FILTERS
from tokviz.options import KINDS
from tokviz.reduction.method import EFFECTS, IMAGES, METHODS, TILES
from tokviz.reduction.run_status import declared_status
from tokviz.reduction.signal_table import CALLABLE, CROPS, SECTIONS
from tokviz.reduction.taxonomy import ACTS, matching, taxonomy
from tokviz.view.about import acts_on, reads, status_text, variants

NONE = "–"
SHAPES = {CALLABLE: "a function", CROPS: "a list of crops", "": "a number"}

METHODS_HEAD = """# Reduction methods

Written from the code by `make docs`; what each method declares in its own file under
`tokviz/reduction/`. Signals are explained in [signals.md](signals.md); how often the embedded
model is still right after each method is in [accuracy.md](accuracy.md), and how often a decision
equals that of the official code in [compared.md](compared.md).

- **Kind**: *select* leaves a subset, *merge* sums tokens up, *both* keeps some and merges the
  rest.
- **Reads**: signals that a decision needs; *a ← b* means that b stands in where a model has no a;
  those in brackets are used when they are there.
- **Query**: whether the kept tokens depend on the prompt.
- **Positions**: published position policy. *keep* leaves the survivors their position ids,
  *repack* renumbers them without gaps; every run can choose the other one.
- **Images**: what a prompt with several images does, see below.
- **Crops**: what an image that the tower sees as several crops does, see below.
- **Status**: the best of three words that a run can earn, see below. Each run says which one it
  earned and why: in its notes, in the page, in `answer --json`, in the rows of a sweep.
- **Variants**: choices for places where paper and official code, or two versions of them, differ.

The three words:

- *run as published*: every signal of the published form was supplied, and its effect and its
  positions were applied.
- *decision as published, run differs*: the published rule decided, but something around it is
  not as published: an option, the positions, a part that is left out, several images.
- *stand-in*: something else took the place of the published rule or of what it reads.

Effects other than removal:
"""

PUBLISHED_HEAD = """## Published numbers

What publications report for **LLaVA-1.5-7B**, with all 576 tokens: GQA 61.9, MMB 64.7, MME 1862
(MME-P about 1507), POPE 85.9, SQA 69.5, VQAv2 78.5, TextVQA 58.2. MME is perception + cognition,
MME-P perception alone: never compare the two. Numbers from different papers are not comparable
either; re-runs of one method at one budget differ by up to 11 points of POPE. None of these was
measured by this project, and none of this project's measurements is among them.
"""

TAXONOMY_HEAD = """## By the taxonomies of the surveys

Where a method acts, what it decides from, whether it prunes or merges, and more, read off its
declaration. `tokviz methods --where before --reads attention --kind merge` lists those that fit (a
comma between several values), and the page's board filters and sorts by the same words. First the
methods by each value of each filter, then one row for each method.
"""

SIGNALS_HEAD = """# Signals

Written from `tokviz/reduction/signal_table.py` by `make docs`. A method decides from named
arrays and from nothing else, so that any method can be tried on a file of arrays:

```python
import tokviz

r = tokviz.reduce("fastervlm", {"cls_attn": [[0.1, 0.4, 0.2, 0.3]]}, keep=2)
r.kept, r.fate, r.matrix()
```

Arrays may be lists, numpy arrays or torch tensors of any float type; decisions are taken in
float32. NaN or Inf is refused. Shape letters: n tokens that are decided on, h heads, d width, m
text tokens, p crops without the thumbnail, l layers of the language model, a any other length. A
leading h may be left out. Signals *per layer* are given as `{layer: array}`, layers counted from
0; negative layers count from the end of `num_layers`; a bare array stands for whichever layer is
asked for, and `{layer: array}` serves no other layer. What transformers gives with
`output_attentions=True` is a tuple of [batch, heads, query, key]: take `attentions[layer][0]`.
"""


def table(head, rows):
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') or NONE for cell in line)} |"
        for line in lines
    )


def code(names):
    """Return names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def official(entry):
    """Return the official repository and its licence."""
    if not entry.code:
        return "none found" if entry.paper else "baseline"
    return f"[{entry.code}](https://github.com/{entry.code}), {entry.licence or 'none stated'}"


def status_word(entry):
    """Return the best word that a method can earn in a run; "baseline" without a publication."""
    status = declared_status(entry)
    return status.word if status else "baseline"


def status_line(entry):
    """Return the sentence about a method's status, "" for a baseline."""
    text = status_text(entry)
    return f"Status, {text.rstrip('.')}." if text else ""


def facts(entry):
    """Return the row of a method in the large table."""
    return [
        f"[`{entry.name}`](#{entry.name})",
        entry.kind,
        entry.acts_at + ("" if entry.effect == "remove" else f" ({entry.effect})"),
        reads(entry, "`{}`") or "nothing",
        "yes" if entry.query_aware else "no",
        entry.positions,
        entry.images,
        "" if entry.place == "tower" else entry.tiles,
        official(entry),
        status_word(entry),
        variants(entry),
    ]


def published():
    """Return one row per published measurement."""
    for entry in METHODS.values():
        for row in entry.published:
            scores = ", ".join(f"{name} {value:g}" for name, value in row.scores.items())
            yield [f"`{entry.name}`", row.budget, scores, row.source]


def section(entry):
    """Return the section of one method: what it does, how it differs, its options."""
    head = f"### {entry.name}\n\n**{entry.title}**"
    if entry.paper:
        head += f" ([paper]({entry.paper}), {entry.year})"
    parts = [head, entry.summary, entry.notes, f"W {acts_on(entry)}", status_line(entry)]
    parts.append(options_table(entry))
    return "\n\n".join(part for part in parts if part)


def options_table(entry):
    """Return the table of an entry's options, "" where it has none."""
    rows = [
        [f"`{option.name}`", _allowed(option), f"`{option.default}`"]
        for option in entry.options.values()
    ]
    return table(["Option", "Allowed", "Default"], rows) if rows else ""


def _allowed(option):
    if option.choices:
        return ", ".join(str(choice) for choice in option.choices)
    if option.range:
        return f"{option.range.low:g} to {option.range.high:g}"
    return KINDS.get(option.type, "a number")


def methods_page():
    """Return docs/methods.md."""
    head = ["Method", "Kind", "Acts", "Reads", "Query", "Positions", "Images", "Crops",
            "Official code", "Status", "Variants"]  # fmt: skip
    silent = [e for e in METHODS.values() if e.paper and not e.published]
    none = f"No LLaVA-1.5 row from a source that could be named: {code(e.name for e in silent)}."
    parts = [
        METHODS_HEAD,
        "\n".join(f"- *{name}*: {what}." for name, what in EFFECTS.items() if name != "remove"),
        keep_all(),
        "Several images: tokens are chosen\n\n"
        + "\n".join(f"- *{name}*: {how}." for name, how in IMAGES.items())
        + f"\n\n{film_sentence()}",
        "Several crops: tokens are chosen\n\n"
        + "\n".join(f"- *{name}*: {how}." for name, how in TILES.items())
        + "\n\nInside the tower a method needs an image in one crop; it says so where there are "
        "more.",
        table(head, [facts(entry) for entry in METHODS.values()]),
        TAXONOMY_HEAD,
        by_value(),
        taxonomy_table(),
        PUBLISHED_HEAD,
        table(["Method", "Budget", "Scores", "Source"], published()),
        none,
        "## One by one",
        *(section(entry) for entry in METHODS.values()),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def by_value():
    """Return the methods that each value of each filter of the taxonomies leaves."""
    rows = [
        [f"`{name}`", value, ", ".join(linked(entry) for entry in matching({name: value}))]
        for name, values in FILTERS.items()
        for value in values
        if value != "no"
    ]
    return table(["Filter", "Value", "Methods"], rows)


def taxonomy_table():
    """Return the table of methods by the taxonomies of the surveys."""
    rows = [
        [linked(entry), found.where, ", ".join(found.reads), ACTS[found.kind]]
        + ["yes" if one else "no" for one in (found.query_aware, found.training_free, found.frames)]
        for entry, found in ((entry, taxonomy(entry)) for entry in METHODS.values())
    ]
    head = ["Method", "Where", "Reads", "Does", "Query-aware", "Training-free", "Films"]
    return table(head, rows)


def linked(entry):
    """Return a method's name as a link to its section, a stand-in marked as one."""
    return f"[`{entry.name}`](#{entry.name})" + ("" if entry.verified else " (stand-in)")


def keep_all():
    """Return which methods do not leave everything alone when all tokens are to be kept."""
    own = code(entry.name for entry in METHODS.values() if entry.adaptive)
    return (
        "With `keep` = all tokens a method leaves every token as it is, except for those that "
        f"choose their own count, which may still leave fewer: {own}."
    )


def film_sentence():
    """What methods do with a film's frames."""
    names = ", ".join(f"`{name}`" for name, entry in sorted(METHODS.items()) if entry.frames)
    return (
        "Each frame of a film counts as an image, and with Qwen-VL each pair of frames. These "
        f"methods compare frames, and refuse a prompt of one picture: {names}."
    )


def signals_page():
    """Return docs/signals.md."""
    readers = {}
    for entry in METHODS.values():
        for name in (*entry.needs, *entry.fallbacks.values(), *entry.optional):
            readers.setdefault(name, []).append(entry.name)
    head = ["Signal", "Shape", "Per layer", "What it holds", "Read by"]
    parts = [SIGNALS_HEAD]
    for title, signals in SECTIONS.items():
        rows = [
            [
                f"`{name}`",
                SHAPES.get(s.shape, f"[{s.shape.replace(' ', ', ')}]") + " int" * s.integer,
                "yes" if s.layered else "",
                s.meaning + " For arrays of one's own: no run supplies it." * s.arrays_only,
                code(dict.fromkeys(readers.get(name, []))),
            ]
            for name, s in signals.items()
        ]
        parts += [f"## {title}", table(head, rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"
