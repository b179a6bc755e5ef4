"""Recoverable Compression: tokens that the tower finds unimportant are kept for the question."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.local_outliers import count_outliers
from tokviz.reduction.parts.question import tokens_and_text
from tokviz.reduction.parts.selection import joined_heads, single_head_cls, top_k
from tokviz.reduction.parts.similarity import cosines, unit
from tokviz.torch_on_use import torch

VISUAL, REST, MERGED = 20, 10, 32
TEXT_WEIGHT = 50.0
"""Weight of the question against key similarity when neighbours are chosen (official code)."""


@method(
    "recoverable",
    title="Recoverable Compression",
    place="before",
    kind="both",
    needs=("q", "k", "text_clip", "img_clip"),
    fallbacks={"q": "cls_attn", "text_clip": "text_llm", "img_clip": "feats_post"},
    optional=("recv_attn",),
    space="pre",
    paper="https://arxiv.org/abs/2409.01179",
    year=2024,
    differs=("two slips of the code that was read are not repeated",),
    code="banjiuyufen/RecoverableCompression",
    licence="Apache-2.0",
    query_aware=True,
    adaptive=True,
    own_count=True,
    published=(
        Published(
            "about 10 % of the tokens",
            "own paper",
            {
                "SQA": 69.01,
                "TextVQA": 55.51,
                "MME-P": 1284.9,
                "VQAv2": 70.41,
                "POPE": 72.0,
                "MMB": 57.9,
            },
        ),
    ),
)
def recoverable(
    signals,
    keep: int,
    *,
    visual_neighbours: Annotated[int, Range(1, 64)] = VISUAL,
    rest_neighbours: Annotated[int, Range(1, 64)] = REST,
    merged: Annotated[int, Range(1, 128)] = MERGED,
) -> Reduction:
    """Keep as many tokens as [CLS] attention has outliers, then as text similarity has.

    The share of local outliers (LOF, low ones count too) among the values gives the number, the
    highest values are taken. Of the rest, again as many as there are outliers become centres, each
    adding its `merged` nearest (key cosine + 50 x likeness) weighted by attention; one more token
    sums up the remaining tokens. Output order: kept in raster order, centres, extra token.

    Two errors of the available code (a fork; the original was not available) are not repeated: here
    the number of centres and their keys are computed on the rest. A budget below the method's own
    count reduces the kept tokens in proportion, then the centres. The published similarity is that
    of CLIP's text encoder.
    """
    attention, notes = single_head_cls(signals, -1)
    score = attention.cpu().numpy()
    tokens, words, more = tokens_and_text(signals)
    text = ((unit(tokens) @ unit(words).T).mean(1) / 768**0.5).cpu().numpy()
    n, room = len(score), max(keep - 1, 1)
    why = f"there are {n} tokens"
    around, said = fitted("visual_neighbours", visual_neighbours, VISUAL, n - 1, why)
    seen = count_outliers(score, around)
    visual = top_k(attention, seen).cpu().numpy()
    recovered = recovered_by_text(text, visual, around)
    if len(visual) + len(recovered) > room:
        seen = room * len(visual) // (len(visual) + len(recovered))
        visual, recovered = visual[:seen], recovered[: room - seen]
    main = np.sort(np.concatenate([visual, recovered]))
    rest = np.setdiff1d(np.arange(n), main)
    ranked = rest[top_k(torch.as_tensor(score[rest]), len(rest)).numpy()]
    others, why = max(len(rest) - 1, 1), f"{len(rest)} tokens are not kept"
    around, also = fitted("rest_neighbours", rest_neighbours, REST, others, why)
    takes, too = fitted("merged", merged, MERGED, others, why)
    said += also + too
    centres = ranked[: min(count_outliers(score[rest], around), room - len(main))]
    left = np.setdiff1d(rest, centres)
    rows, cols = [np.arange(len(main))], [main]
    weights = [np.ones(len(main))]
    keys = joined_heads(signals.patches("k", -1))
    for row, near in enumerate(_nearest(keys, text, centres, rest, takes), len(main)):
        rows.append(np.full(1 + len(near), row))
        cols.append(np.concatenate([[centres[row - len(main)]], near]))
        weights.append(np.concatenate([[1.0], score[near]]))
    position = np.concatenate([main, centres])
    if len(left) and len(position) < keep:
        rows.append(np.full(len(left), len(position)))
        cols.append(left)
        weights.append(score[left])
        position = np.append(position, left[score[left].argmax()])
    roles = {"visual": visual, "text": recovered, "centre": centres}
    return Reduction.from_entries(
        np.concatenate(rows), np.concatenate(cols), np.concatenate(weights), n, len(position),
        position, score=score, roles=roles, notes=notes + more + said,
    )  # fmt: skip


def recovered_by_text(text: np.ndarray, visual: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the tokens that are kept for the question, most similar first.

    Args:
        text: [n], similarity to the question.
        visual: tokens that are kept already; they count as the least similar.
        neighbours: of the local outlier factor.
    """
    masked = text.copy()
    masked[visual] = text.min()
    count = (len(text) - len(visual)) * count_outliers(masked, neighbours) // len(text)
    ranked = top_k(torch.as_tensor(text), len(text)).numpy()
    return ranked[~np.isin(ranked, visual)][:count]


def _nearest(
    keys: torch.Tensor, text: np.ndarray, centres: np.ndarray, rest: np.ndarray, k: int
) -> np.ndarray:
    """Return the k tokens of the rest that are merged into each centre, without itself, [c, k]."""
    likeness = cosines(keys[centres], keys[rest]) + TEXT_WEIGHT * text[rest]
    likeness[rest[None] == centres[:, None]] = -np.inf
    ranked = torch.sort(torch.as_tensor(likeness), dim=1, descending=True, stable=True).indices
    return rest[ranked.numpy()[:, : min(k, len(rest) - 1)]]
