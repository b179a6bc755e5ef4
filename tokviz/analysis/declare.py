"""What an analysis declares about itself, the decorator that registers it, and how one is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tokviz.analysis.result import Exactness, Result
from tokviz.errors import InputError, MissingSignal
from tokviz.names import did_you_mean
from tokviz.options import Option, check_options, read_off
from tokviz.registry import Registry
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import LAST_ROW
from tokviz.trace.layout import Layout
from tokviz.trace.schema import SCHEMA

ANALYSES: Registry[Analysis] = Registry(
    "analysis", "tokviz.analysis", "tokviz.analyses", lambda: Analysis
)

ASKS: dict[str, str] = {
    "score": "a function: list of kept sets (arrays of visual tokens) -> log-probability of the "
    "run's own answer with only those tokens, one number per set.",
    "answers": "a function: list of kept sets -> the answer with only those tokens, one text "
    "per set.",
    "forward": "a differentiable torch function: features of the visual tokens [b, n, d] -> "
    "log-probability of the run's own answer [b].",
    "features": "projected features of the visual tokens, torch [n, d].",
    "maps": "a function: decoder layer -> the whole softmax map of prompt and answer [h, q, q].",
    "gradients": "a function: (decoder layer, answer token) -> gradient of the log-probability of "
    "that answer token by the map of that layer [h, q, q].",
    "exits": "a function: decoder layer -> (most probable token ids [t], log-probabilities of the "
    "own answer's tokens [t], and, where wanted, log-probabilities of all tokens at the first step "
    "[v]), when all visual tokens leave before that layer; the number of layers = nothing leaves.",
    "knockout": "a function: range of decoder layers -> log-probability of the run's own answer "
    "when no text row may attend to the image in those layers.",
    "prompt_statistics": "a function: () -> arrays of one forward of the prompt: received "
    "[l, h, s], the attention that each row receives, mean over the rows that attend to it; even "
    "[l, s], the same if every row spread its attention evenly; value_norm [l, g, s] for g key "
    "heads; state_max and state_dim [l, s], the largest |h| at each layer's input and its "
    "dimension; state_median [l]. NaN, and dimension -1, in layers that have none.",
    "state_curves": "a function: () -> arrays [l, m] of the states at each layer's input, of image "
    "and text: similarity, the mean cosine of all pairs of rows; constant, the share of their "
    "squared length that is in their mean; rank, their effective rank. NaN in "
    "layers that compute only the last row.",
    "general_attention": "a function: prompt -> attention of the last row of that prompt to the "
    "visual tokens, mean over heads, [l, n].",
    "reworded": "a function: prompt -> log-probability of the run's own answer when that prompt is "
    "asked about the same image.",
    "full": "the trace of the same question with all tokens.",
    "others": "other traces to compare with.",
    "judge": "a function: (text so far, chosen token, other token) -> entail, contra or neutral.",
    "progress": "a function that is called with (forwards done, forwards in all).",
    "controls": "probability of each answer token [t] by the name of the control image; or, for "
    "divergences, the whole distribution [t, v] with 'full' for the real image.",
    "folder": "the features of the visual tokens [n, d] of each image of a folder.",
}
"""What an analysis may ask its caller to supply from further runs of the model."""

GROUPS = (
    "where the model looks",
    "what the answer needs",
    "layer by layer",
    "sinks and registers",
    "many pictures",
    "others",
)
"""Groups of the list of analyses, in their order; `others` holds those that name none."""

SWITCHES: dict[str, str] = {
    "attention": "Capture(attention=True)",
    "attention_heads": "Capture(attention=True), as long as the single heads fit its heads_mb",
    "mass": "Capture(attention=True)",
    "cls_attention": "Capture(tower=True) and a tower with a [CLS] token",
    "cls_attention_heads": "Capture(tower=True) and a tower with a [CLS] token, as long as the "
    "single heads fit its heads_mb",
    "received_attention": "Capture(tower=True)",
    "received_layers": "Capture(tower=True)",
    "feature_norm": "Capture(tower=True)",
    "cls_similarity": "Capture(tower=True) and a tower with a [CLS] token",
    "readout": "Capture(readout=True)",
    "readout_ids": "Capture(readout=True)",
    "state_similarity": "Capture(readout=True)",
    "last_state": "Capture(readout=True)",
    "sink_dims": "Capture(sinks=True)",
    "sink_phi": "Capture(sinks=True) and a model that has sink dimensions",
    "candidate_prob": "Capture(candidates=2) or more",
    "candidate_ids": "Capture(candidates=2) or more",
    "own_guess": "Capture(lens=5)",
    "control_prob": "Capture(controls=True)",
    "lens_ids": "Capture(lens=5)",
    "lens_prob": "Capture(lens=5)",
    "lens_peak": "Capture(lens=5)",
    "lens_peak_layer": "Capture(lens=5)",
    "flow": "Capture(flow=True)",
    "layer_means": "Capture(states=True)",
    "visual_rank": "Capture(states=True)",
    "decode_sets": "a method that chooses anew for each word, such as tidaldecode",
}
"""Array of a trace -> the switch of `Capture`, or the kind of model, that records the array."""


OF_EVERY_ROW = {
    "readout", "readout_ids", "state_similarity", "own_guess", "layer_means", "visual_rank",
    "lens_ids", "lens_prob", "lens_peak", "lens_peak_layer",
}  # fmt: skip
"""Arrays of a trace that need the states of all rows of the prompt, in the last layers too."""
OF_TOWER_LAYERS = {
    "cls_attention", "cls_attention_heads", "received_attention", "received_layers", "feature_norm",
    "cls_similarity",
}  # fmt: skip
"""Arrays of a trace that are recorded in the layers of the vision tower."""


@dataclass(frozen=True)
class Size:
    """What the cost of further runs depends on."""

    layout: Layout
    layers: int
    t: int
    "Answer tokens."
    words: int = 0
    "Words of the user's prompt, separated by blanks."


def no_forwards(size: Size, **options: Any) -> int:
    """Return 0: the trace is enough."""
    return 0


@dataclass(frozen=True)
class Analysis:
    """A registered analysis."""

    name: str
    compute: Callable[..., Result]
    "(trace, **asks, **options) -> Result."
    title: str
    needs: tuple[str, ...]
    "Arrays of the trace that it must have."
    summary: str
    "First line of the docstring."
    notes: str
    "Rest of the docstring: source, departures, traps."
    options: Mapping[str, Option]
    meaning: str
    not_meaning: str
    exactness: Exactness
    cost: str
    asks: tuple[str, ...] = ()
    "Keys of ASKS that must be supplied from further runs."
    may_ask: tuple[str, ...] = ()
    "Keys of ASKS that are used when they are supplied."
    uses: tuple[str, ...] = ()
    "Arrays of the trace that are used when the trace has them."
    forwards: Callable[..., int] = no_forwards
    "(size, **options) -> forward passes of the model beyond the trace, known beforehand."
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    "Array -> the array that replaces it when a trace does not have it."
    paper: str = ""
    year: int | None = None
    group: str = "others"
    "One of GROUPS: what it is about."

    def __post_init__(self) -> None:
        """Check the group; raise ValueError."""
        if self.group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(GROUPS)}, got {self.group!r}.")

    def missing(self, trace: Trace | None) -> list[str]:
        """Return the needed arrays for which the trace has neither the array nor its fallback."""
        return [
            name
            for name in self.needs
            if trace is None or (name not in trace and self.fallbacks.get(name, name) not in trace)
        ]

    def why_not(self, trace: Trace | None, given: Mapping[str, Any] | None = None) -> str:
        """Return one sentence saying what is missing and which run would give it, "" if nothing."""
        for name in self.missing(trace):
            if said := self.lacks_rows(trace) or self.lacks_tower(trace):
                return said
            what = SCHEMA[name].meaning.rstrip(".")
            run = SWITCHES.get(name, "this array recorded")
            return (
                f"{self.title} needs {name!r} ({what}), which this trace does not hold. "
                f"It takes a run with {run}: vlm.analyse({self.name!r}, image, prompt) makes "
                f"it, or: tokviz analyse picture.jpg --prompt 'question' --analysis {self.name}"
            )
        for name in self.asks:
            if name not in (given or {}):
                return (
                    f"{self.title} needs further runs of the model: {name!r}, {ASKS[name]} "
                    f"{self.call}"
                )
        return ""

    def lacks_rows(self, trace: Trace | None) -> str:
        """Return why no run of this model gives what is missing, "" where one may."""
        last = (trace.model.get(LAST_ROW) if trace is not None else None) or ()
        if not last or not OF_EVERY_ROW.intersection(self.missing(trace)):
            return ""
        return (
            f"{self.title} reads the states of all rows of the prompt, and from layer {last[0]} on "
            "this model has only that of the last row: those layers read the keys of earlier ones. "
            "Choose another analysis."
        )

    def lacks_tower(self, trace: Trace | None) -> str:
        """Return that the vision tower has no layers, where those are missing, else ""."""
        layers = trace.model.get("tower_layers") if trace is not None else None
        if layers != 0 or not OF_TOWER_LAYERS.intersection(self.missing(trace)):
            return ""
        return (
            f"{self.title} reads layers of the vision tower, and that of this model is "
            "convolutional: it has no layers of tokens. Choose another analysis."
        )

    @property
    def call(self) -> str:
        """The call that also makes the further runs, in Python and on the command line."""
        if "folder" in self.asks:
            return (
                f"vlm.analyse({self.name!r}, 'folder/') makes it, or: "
                f"tokviz analyse folder/ --analysis {self.name}"
            )
        return (
            f"vlm.analyse({self.name!r}, image, trace=trace) makes them, with vlm = "
            f"tokviz.load(...); or: tokviz analyse picture.jpg --prompt "
            f"'question' --analysis {self.name}"
        )


def analysis(name: str, **declared: Any) -> Callable[[Callable[..., Result]], Analysis]:
    """Register a function (trace, asks..., *, options) -> Result as an analysis.

    Args:
        name: the name in the dropdown, the CLI and `tokviz.analyse`.
        **declared: fields of `Analysis`. Options come from the function's keyword-only arguments,
            summary and notes from its docstring.
    """

    def register(compute: Callable[..., Result]) -> Analysis:
        entry = Analysis(name=name, compute=compute, **read_off(compute), **declared)
        return ANALYSES.add(name, entry)

    return register


def analyse(
    name: str, trace: Trace | None, *, runs: Mapping[str, Any] | None = None, **options: Any
) -> Result:
    """Answer one question about one run.

    Args:
        name: a key of ANALYSES.
        trace: the run, fresh or from a file; None for an analysis of a folder.
        runs: what the analysis asks for beyond the trace, by the names of ASKS.
        **options: the analysis' own options.

    Raises:
        InputError: an unknown analysis or option, or a value that is not allowed.
        MissingSignal: the trace does not hold what is needed; the message says which run would.
    """
    chosen = ANALYSES[name]
    options = check_options(chosen.name, chosen.options, options)
    if runs is not None and not isinstance(runs, Mapping):
        raise InputError(f"runs must be a mapping by the names of ASKS, got {type(runs).__name__}.")
    given = {key: value for key, value in (runs or {}).items() if value is not None}
    strange = sorted(set(given) - set(chosen.asks) - set(chosen.may_ask))
    if strange:
        guess = did_you_mean(strange[0], (*chosen.asks, *chosen.may_ask))
        raise InputError(f"{chosen.title} does not ask for {strange[0]!r}.{guess}")
    if trace is None and "folder" not in chosen.asks:
        raise InputError(f"{chosen.title} is about one run: give its trace.")
    check_trace(trace)
    lacking = chosen.why_not(trace, given)
    if lacking:
        raise MissingSignal(lacking)
    return replace(
        chosen.compute(trace, **given, **options),
        name=chosen.name,
        title=chosen.title,
        meaning=chosen.meaning,
        not_meaning=chosen.not_meaning,
        exactness=chosen.exactness,
        cost=chosen.cost,
    )


def check_trace(trace: Any) -> None:
    """Raise InputError for what is neither a trace nor None."""
    if trace is not None and not isinstance(trace, Trace):
        raise InputError(
            f"an analysis reads a trace, got a {type(trace).__name__}: give what vlm.answer(...) "
            "returned, or tokviz.open_trace(file)."
        )
