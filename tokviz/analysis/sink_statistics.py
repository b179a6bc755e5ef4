"""Which rows of the prompt draw attention whatever they say, in a model without sink dimensions?

Sink rate: When Attention Sink Emerges in Language Models, arXiv 2410.10781: the share of all heads
in which a row receives more than a threshold, mean over the rows that see it. Massive activations:
arXiv 2402.17762: the largest absolute value of a state against the median of its layer. Neither
needs to know in which dimensions a model marks its sinks, so they work in every family.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import plain
from tokviz.errors import InputError
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import mean_over_layers

GROUPS = ("first row", "delimiters", "visual tokens", "other text")
"""Rows of the prompt apart: delimiters are punctuation, line ends, control tokens and marks."""
SHOWN = 5
"""Rows that the notes name."""
CONTROL = re.compile(r"<.+>|\[/?\w+\]")
"""How control tokens are written."""


@analysis(
    "sink_statistics",
    title="Attention sinks by what they receive",
    group="sinks and registers",
    needs=("prompt_ids",),
    asks=("prompt_statistics",),
    uses=("mark_rows",),
    forwards=lambda size, **options: 1,
    meaning="High = in so many of all heads the row draws more attention than the threshold, mean "
    "over the rows that see it.",
    not_meaning="It does not say that the row is useless, nor that the model reads its content: "
    "heads that have nothing to do rest on sinks.",
    exactness="exact",
    cost="One forward of the prompt. Memory: one prefill, and the softmax rows of 128 queries.",
    paper="https://arxiv.org/abs/2410.10781",
    year=2024,
)
def sink_statistics(
    trace: Trace,
    prompt_statistics: Callable[[], Mapping[str, np.ndarray]],
    *,
    threshold: Annotated[float, Range(0, 1, 0.05)] = 0.3,
) -> Result:
    """Measure how much attention each row of the prompt draws, and how large it is inside.

    `threshold` is the paper's epsilon. `ratio` compares with an even share: 1 = as much as if each
    row spread its attention evenly over what it sees. Sinks often have small values: `value_ratio`
    is the mean length of the values of rows with a rate of at least 0.5 in a layer against that of
    the others. `massive` is the largest |h| of a state over the layer's median |h|; its paper calls
    a state massive if that is above 1,000 and the value itself above 100. Groups are shown apart:
    the first row, delimiters, visual tokens, other text. Few rows see the last rows of the prompt,
    themselves among them, so a high rate there says little. Layers without attention are NaN, and
    so are those that compute only the last row of a prompt.
    """
    found = {name: plain(array) for name, array in prompt_statistics().items()}
    received, even = found["received"], found["even"]
    rows = len(trace["prompt_ids"])
    if received.ndim != 3 or received.shape[2] != rows:
        raise InputError(f"received must be [layers, heads, {rows}], got {received.shape}.")
    # [l, h, s]; layers without attention are NaN and count nowhere
    over = np.where(np.isnan(received), np.nan, received > threshold)
    by_layer = over.mean(1)
    rate = mean_over_layers(by_layer, 0)
    ratio = received.mean(1) / np.maximum(even, 1e-12)
    value = found["value_norm"].mean(1)
    massive = found["state_max"] / np.maximum(found["state_median"], 1e-12)[:, None]
    group = groups_of(trace)
    parts = {
        "by_layer": Part(by_layer, "l s", "share of the layer's heads over the threshold"),
        "ratio": Part(ratio, "l s", "received attention over an even share, mean over heads"),
        "value_norm": Part(value, "l s", "length of the row's values, mean over key heads"),
        "value_ratio": Part(value_ratio(value, by_layer), "l", "values of sinks over other rows'"),
        "massive": Part(massive, "l s", "largest |h| at the layer's input over the median |h|"),
        "largest": Part(found["state_max"], "l s", "largest |h| at the layer's input"),
        "dimension": Part(found["state_dim"], "l s", "dimension of that largest value"),
        "group": Part(group, "s", "number of the row's group, see the labels of i"),
        "group_rate": Part(by_group(rate, group), "i", "mean rate of the group's rows"),
        "group_highest": Part(by_group(rate, group, np.max), "i", "highest rate of the group"),
        "group_by_layer": Part(by_group(by_layer, group), "l i", "mean rate of the group's rows"),
        "group_ratio": Part(by_group(ratio, group), "l i", "mean ratio of the group's rows"),
        "group_massive": Part(by_group(massive, group, np.max), "l i", "highest in the group"),
        "group_value": Part(by_group(value, group), "l i", "mean length of the group's values"),
        "group_heads": Part(
            by_group(received, group),
            "l h i",
            "attention that a row of the group receives, mean over its rows, in every head",
        ),
        "threshold": number(threshold, "the threshold"),
    }
    return Result(rate, "s", parts, {"i": GROUPS}, strongest(trace, rate, massive, group))


def groups_of(trace: Trace) -> np.ndarray:
    """Return the index in GROUPS of each row of the prompt, int64 [s]."""
    marked = trace["mark_rows"] if "mark_rows" in trace else np.zeros(0, np.int64)
    bare = [is_delimiter(text) for text in trace.prompt_texts]
    group = np.where(bare, GROUPS.index("delimiters"), GROUPS.index("other text"))
    group[marked] = GROUPS.index("delimiters")
    group[trace.layout.position] = GROUPS.index("visual tokens")
    group[:1] = GROUPS.index("first row")
    return group


def is_delimiter(text: str) -> bool:
    """Return True for a token's text without letters and digits, or with brackets around it.

    Control tokens have them: <|im_end|>, [INST].
    """
    return bool(CONTROL.fullmatch(text.strip())) or not any(map(str.isalnum, text))


def by_group(
    values: np.ndarray, group: np.ndarray, of: Callable[..., np.ndarray] = np.mean
) -> np.ndarray:
    """Return the mean, or another number, of each group along the last axis; NaN without rows."""
    return np.stack(
        [
            of(values[..., group == i], axis=-1)
            if (group == i).any()
            else np.full(values.shape[:-1], np.nan)
            for i in range(len(GROUPS))
        ],
        -1,
    )


def value_ratio(value: np.ndarray, by_layer: np.ndarray) -> np.ndarray:
    """Return the mean length of sinks' values over that of other rows' per layer, NaN without."""
    sinks, found = by_layer >= 0.5, np.full(len(value), np.nan)
    for layer, (lengths, sink) in enumerate(zip(value, sinks, strict=True)):
        if sink.any() and not sink.all() and lengths[~sink].mean() > 0:
            found[layer] = lengths[sink].mean() / lengths[~sink].mean()
    return found


def strongest(
    trace: Trace, rate: np.ndarray, massive: np.ndarray, group: np.ndarray
) -> tuple[str, ...]:
    """Return a sentence for each of the rows with the highest rates, if there are any."""
    best = [row for row in np.argsort(-rate, kind="stable")[:SHOWN] if rate[row] > 0]
    texts = trace.prompt_texts
    number_of = {int(row): token for token, row in enumerate(trace.layout.position)}
    said = []
    for row in best:
        token = number_of.get(int(row))
        what = f"{texts[row]!r}" if token is None else f"visual token {token}"
        layer = int(np.nanargmax(massive[:, row]))
        said.append(
            f"Row {row} ({what}, {GROUPS[group[row]]}): over the threshold in "
            f"{100 * rate[row]:.0f} % of all heads; its largest state value is "
            f"{massive[layer, row]:,.0f} times the median, at the input of layer {layer}."
        )
    return tuple(said) or ("No row is over the threshold in any head.",)
