"""FiCoCo-L: filter redundant tokens, correlate them with others, compress them into those."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

PART = 0.998
"""A removed token is added to those above this quantile of its correlations."""


def _schedule(n: int, keep: int, layers: int, **options):
    first = schedules.in_depth(6, 32, layers)
    count = layers - first
    each, more = divmod(n - keep, count)
    left = [n - each * done - min(done, more) for done in range(1, count + 1)]
    return schedules.stages(zip(range(first, layers), left, strict=True), n)


@method(
    "ficoco_l",
    title="FiCoCo-L",
    place="language_model",
    kind="both",
    needs=("llm_logits_all", "llm_visual_rows"),
    paper="https://arxiv.org/abs/2411.17686",
    year=2024,
    code="kawhiiiileo/FiCoCo",
    licence="none stated",
    query_aware=True,
    gradual=True,
    depths=(32,),
    schedule=_schedule,
    differs=(
        "tokens are merged after the MLP of a layer, where the official code merges before it",
        "the official code takes the first rows of the prompt, system text included, for the image",
    ),
)
def ficoco_l(
    signals,
    keep: int,
    *,
    redundancy: Annotated[float, Range(0, 1, 0.05)] = 0.6,
    direct: Annotated[float, Range(0, 1, 0.05)] = 0.6,
) -> Reduction:
    """Remove the most redundant tokens layer by layer and add each to its most related tokens.

    All scores are scaled products of queries and keys of the layer before, mean over heads, without
    mask and softmax. Redundant is a token that has high products with all visual tokens
    (`redundancy`) and low ones with the text after the image. A removed token is related to another
    by their product (`direct`) and by the products over the text between them; it is added to the
    few most related ones, in shares of a softmax. Sums are not divided by anything, and what goes
    to a token that is removed itself is lost, as in the official code.

    The cut is spread evenly over the layers from layer 6 of 32 on; the official code removes 14
    tokens in each layer after layer 4. "ficoco_v" is the same inside the tower.
    """
    logits, rows = signals["llm_logits_all"], signals["llm_visual_rows"]
    text = torch.arange(int(rows.max()) + 1, len(logits), device=logits.device)
    among, to_text, from_text = logits[rows][:, rows], logits[rows][:, text], logits[text][:, rows]
    n = len(rows)
    if keep >= n:
        return Reduction.identity(n)
    score = redundancy * among.sum(1)
    if len(text):
        score = score - (1 - redundancy) * to_text.mean(1)
    gone = top_k(score, n - keep)
    related = direct * among + (1 - direct) * (to_text @ from_text)
    related.fill_diagonal_(-torch.inf)
    target, share = relations(related, gone)
    stays = np.setdiff1d(np.arange(n), gone.cpu().numpy())
    return added(n, stays, gone.cpu().numpy(), target, share, -score.cpu())


def relations(related: torch.Tensor, gone: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens to which each removed token is added, and in which shares.

    Args:
        related: [n, n], -inf on the diagonal.
        gone: int [r], the removed tokens.

    Returns:
        Tokens int [r, k] and shares [r, k] with sum 1; k is the largest number of tokens above the
        quantile of any removed token.
    """
    rows = related[gone].float()
    # in chunks: torch refuses the quantiles of more than 2^24 numbers at once
    above = [(part > part.quantile(PART, -1, keepdim=True)).sum(-1) for part in rows.split(256)]
    best = rows.softmax(-1).topk(int(torch.cat(above).max()), dim=-1)
    share = best.values / best.values.sum(-1, keepdim=True)
    return best.indices.cpu().numpy(), share.cpu().numpy()


def added(
    n: int,
    stays: np.ndarray,
    gone: np.ndarray,
    target: np.ndarray,
    share: np.ndarray,
    score: torch.Tensor,
) -> Reduction:
    """Return the reduction in which removed tokens are added to their targets that stay."""
    row = np.full(n, -1)
    row[stays] = np.arange(len(stays))
    to, source = row[target].ravel(), np.repeat(gone, target.shape[1])
    kept = to >= 0
    return Reduction.from_entries(
        np.concatenate([np.arange(len(stays)), to[kept]]),
        np.concatenate([stays, source[kept]]),
        np.concatenate([np.ones(len(stays)), share.ravel()[kept]]),
        n, len(stays), stays,
        score=score, order=gone, roles={"redundant": gone},
    )  # fmt: skip
