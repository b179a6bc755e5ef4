"""SparseVLM: the words of the question choose the patches."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.density import density_peaks
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

RECYCLED, PER_CLUSTER, HEADS = 0.3, 10, 14
PUBLISHED = {
    "1.5": [(300, 200, 110), (303, 110, 36), (238, 48, 26), (66, 30, 17)],
    "2.0": [(300, 200, 118), (238, 108, 60), (246, 54, 28), (66, 34, 20)],
}
"""Tokens chosen after layers 2, 6 and 15 of 32, out of 576, without recycled ones."""


def text_score(visual: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Return how relevant each text row is to the image [m]; the sum is 1.

    Args:
        visual: [n, d], input embeddings of all visual tokens.
        text: [m, d], input embeddings of the text rows after the image.
    """
    return (visual.float() @ text.float().T).softmax(1).mean(0)


def rope_bias(cos: torch.Tensor, sin: torch.Tensor, text: torch.Tensor, visual: torch.Tensor):
    """Return the products of all-ones queries and keys after rotary positions, [m, n].

    Args:
        cos: [a, d], cosines of the rotary angles of all rows, the two halves of d alike.
        sin: [a, d].
        text: int64 [m], the text rows.
        visual: int64 [n], the rows of the visual tokens.
    """
    half = cos.shape[-1] // 2
    sign = torch.cat([-torch.ones(half), torch.ones(half)]).to(sin)
    ones = (cos + sign * sin).float()
    return ones[text] @ ones[visual].T / cos.shape[-1] ** 0.5


def raters(score: torch.Tensor) -> torch.Tensor:
    """Return which text rows rate the image: those above the mean, all when they are equal."""
    chosen = score > score.mean()
    return chosen if chosen.any() else torch.ones_like(chosen)


def chosen_and_recycled(n: int, keep: int) -> tuple[int, int]:
    """Return how many tokens are chosen and how many merged rows follow, keep together."""
    for chosen in range(keep, -1, -1):
        merged = _clusters(n - chosen) if chosen < n else 0
        if chosen + merged == keep:
            return chosen, merged
    return max(keep - 1, 0), min(keep, 1)


def _clusters(dropped: int) -> int:
    return (int(RECYCLED * dropped) + 1) // PER_CLUSTER + 1


def _with_recycled(n: int, chosen: tuple[int, ...]) -> list[int]:
    counts = []
    for count in chosen:
        n = count + _clusters(n - count)
        counts.append(n)
    return counts


def _schedule(n: int, keep: int, layers: int, **options):
    lists = PUBLISHED["2.0" if options["version"] == "2.0" else "1.5"]
    counts = [list(c) if options["version"] == "2.0" else _with_recycled(576, c) for c in lists]
    fitting = [c for c in counts if n == 576 and c[-1] == keep]
    chosen = fitting[0] if fitting else schedules.geometric(n, keep, (1 / 3, 2 / 3, 1))
    at = [schedules.in_depth(layer, 32, layers) for layer in (3, 7, 16)]
    return schedules.stages(zip(at, chosen, strict=True), n)


@method(
    "sparsevlm",
    title="SparseVLM",
    place="language_model",
    images="one",
    kind="both",
    needs=("llm_attn_text", "llm_text_score", "llm_hidden"),
    optional=("llm_rope_bias",),
    paper="https://arxiv.org/abs/2410.04417",
    year=2024,
    variant_positions={"2.0": "keep"},
    code="Gumpest/SparseVLMs",
    licence="Apache-2.0",
    query_aware=True,
    adaptive=True,
    depths=(32,),
    schedule=_schedule,
    published=(
        Published(
            "192 tokens, version 1",
            "own paper",
            {
                "GQA": 57.6,
                "MMB": 62.5,
                "MME": 1721,
                "POPE": 83.6,
                "SQA": 69.1,
                "VQAv2": 75.6,
                "TextVQA": 56.1,
            },
        ),
        Published(
            "192 tokens, version 1.5",
            "own paper",
            {
                "GQA": 59.5,
                "MMB": 64.1,
                "MME": 1787,
                "POPE": 85.3,
                "SQA": 68.7,
                "VQAv2": 75.6,
                "TextVQA": 57.8,
            },
        ),
    ),
    only_with={"rank_scale": ("version", "1.0"), "heads": ("version", "2.0")},
)
def sparsevlm(
    signals,
    keep: int,
    *,
    version: Literal["1.5", "2.0", "1.0"] = "1.5",
    rank_scale: Annotated[float, Range(0.1, 20, 0.1)] = 1.0,
    heads: Annotated[int, Range(1, 128, 1)] = HEADS,
) -> Reduction:
    """Keep the tokens that the rating words attend to, and merge the best of the rest.

    Rating words are the text rows whose embeddings fit the image more than the average. Three
    stages, before layers 3, 7 and 16 of 32 (scaled to the depth), by their attention in the layer
    before. The best 30 % of what was dropped are clustered by density and one mean per cluster
    (about one per ten) follows the chosen tokens. `keep` counts these rows too: the published
    "192" is keep = 113 here, because its schedule 300, 200, 110 ends with 110 and 3 merged rows.
    Other budgets take equal steps on a log scale.

    The official code adds noise below 1e-6 to densities, because two tokens that are each other's
    nearest are equally dense: in small pools (two clusters) the noise often decides. Here the one
    with more attention counts as denser; with such noise the official code makes the same rows.
    Where two splits into chosen and merged add up to `keep`, the one that chooses more is taken.

    version 1.0 chooses as many as the rank of the attention between raters and image, times
    `rank_scale`, at most what `keep` allows. 2.0 merges nothing, divides by the bias of rotary
    positions where that signal is given, averages the `heads` that then attend to the image most,
    and retains position ids; 1.0 and 1.5 renumber.
    """
    n, attention = signals.n, signals["llm_attn_text"]
    if keep >= n:
        return Reduction.identity(n)
    score, notes = _score(signals, attention, version, heads)
    if version == "2.0":
        chosen, merged = keep, 0
    else:
        chosen, merged = chosen_and_recycled(n, keep)
    if version == "1.0":
        rank = _rank(attention, signals["llm_text_score"])
        chosen = max(min(chosen, int(rank * rank_scale)), 1)
        merged = min(_clusters(n - chosen), keep - chosen)
    order = torch.sort(score, descending=True, stable=True).indices
    return _build(signals, score, order, chosen, merged, notes)


def _rows(attention: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    if attention.shape[1] != len(score):
        raise InputError(
            f"llm_text_score is for {len(score)} text rows, llm_attn_text for {attention.shape[1]}."
        )
    return attention[:, raters(score).to(attention.device)]


def _score(signals, attention: torch.Tensor, version: str, heads: int):
    """Return the score of every token and notes for the user."""
    rated, notes = _rows(attention, signals["llm_text_score"]), []
    if version == "2.0":
        if "llm_rope_bias" in signals:
            bias = signals["llm_rope_bias"][raters(signals["llm_text_score"])]
            rated = rated / torch.where(bias.abs() < 1e-6, torch.full_like(bias, 1e-6), bias)
        else:
            notes.append("The bias of rotary positions was not given, so it was not divided out.")
        why = f"the language model has {len(rated)} heads"
        count, more = fitted("heads", heads, HEADS, len(rated), why)
        notes += more
        rated = rated[top_k(rated.sum((1, 2)), count)]
    return rated.mean((0, 1)).cpu(), tuple(notes)


def _rank(attention: torch.Tensor, score: torch.Tensor) -> int:
    return int(torch.linalg.matrix_rank(_rows(attention, score).mean(0)))


def _build(signals, score, order, chosen: int, merged: int, notes) -> Reduction:
    n, kept = len(score), order[:chosen].sort().values
    provenance = {"score": score, "order": order[:chosen], "notes": notes}
    if not merged:
        return Reduction.select(kept, n, **provenance)
    pool = order[chosen : chosen + max(int(RECYCLED * (n - chosen)) + 1, merged)]
    centres, cluster = density_peaks(signals["llm_hidden"][pool].cpu(), merged)
    sizes = torch.bincount(cluster, minlength=merged)
    rows = torch.cat([torch.arange(chosen), chosen + cluster])
    weights = np.concatenate([np.ones(chosen), (1 / sizes[cluster]).numpy()])
    position = torch.cat([kept, pool[centres]])
    return Reduction.from_entries(
        rows, torch.cat([kept, pool]), weights, n, chosen + merged, position,
        roles={"recycled": pool}, **provenance,
    )  # fmt: skip
