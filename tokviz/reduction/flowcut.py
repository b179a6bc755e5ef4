"""FlowCut: which patches does information flow to, layer after layer?"""

import math

import torch

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.selection import top_k, tower_layers


@method(
    "flowcut",
    title="FlowCut",
    place="before",
    needs=("cls_attn", "v"),
    space="pre",
    paper="https://arxiv.org/abs/2505.19536",
    year=2025,
    code="TungChintao/FlowCut",
    licence="Apache-2.0",
    verified=False,
    published=(
        Published(
            "192 tokens",
            "re-run in the STD paper",
            {"GQA": 59.5, "MME": 1833, "POPE": 85.7, "TextVQA": 57.3},
        ),
        Published(
            "128 tokens",
            "re-run in the STD paper",
            {"GQA": 58.2, "MME": 1781, "POPE": 83.7, "TextVQA": 57.0},
        ),
        Published("64 tokens", "own paper", {"GQA": 55.6, "MME": 1744, "POPE": 80.2}),
    ),
)
def flowcut(signals, keep: int) -> Reduction:
    """Drop patches in every second tower layer, more where the [CLS] attention is peaked.

    A layer scores a patch by ([CLS] attention + similarity of its value to the [CLS] value) times
    the size of its value; the running score is the mean of the old one and the new. The paper calls
    the similarity a cosine, the code takes a softmax of plain dot products, as here.

    A stand-in: the published method removes patches while the tower runs, which changes what later
    layers attend to. Here the layers of the complete tower are read afterwards, each restricted to
    the patches that are still there. Removal itself, and the formulas, are those of the code.
    """
    last = tower_layers(signals, "cls_attn") - 2
    left = torch.arange(signals.n)
    running = torch.zeros(signals.n)
    for layer in range(max(last, 1)):
        scores, relation = layer_scores(
            signals.at("cls_attn", layer), _values(signals, layer), left.to(_device(signals, layer))
        )
        running = scores.cpu() if layer == 0 else 0.5 * running + 0.5 * scores.cpu()
        remaining = max(last, 1) - layer - 1
        if remaining % 2:
            continue
        count = max(len(left) - prune_count(relation, keep, remaining), keep)
        best = top_k(running, count).sort().values
        left, running = left[best], running[best]
        if len(left) <= keep:
            break
    score = torch.full((signals.n,), math.nan)
    score[left] = running
    return Reduction.select(left, signals.n, score=score, order=left[top_k(running, len(left))])


def layer_scores(
    attention: torch.Tensor, values: torch.Tensor, left: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one layer's score and relation [k] of the patches that are left.

    Args:
        attention: [h, n], the [CLS] row.
        values: [h, n + 1, d], [CLS] first.
        left: int64 [k].
    """
    relation = attention.mean(0)[left]
    alive = values[:, torch.cat([left.new_zeros(1), left + 1])]
    semantic = torch.einsum("hd,hnd->hn", alive[:, 0], alive).softmax(1).mean(0)[1:]
    density = alive.mean(0)[1:].abs().sum(1)
    relation = relation / relation.sum()
    return combined(relation, semantic, density), relation


def combined(relation: torch.Tensor, semantic: torch.Tensor, density: torch.Tensor) -> torch.Tensor:
    """Return (relation + semantic) * density [k], the first two normalised to sum 1."""
    return (relation / relation.sum() + semantic / semantic.sum()) * density


def prune_count(relation: torch.Tensor, keep: int, remaining: int) -> int:
    """Return how many patches to drop now, with `remaining` layers still to come.

    Args:
        relation: [k], sums to 1; zeros count as 0 log 0 = 0.
        keep: patches to end with.
        remaining: 0 drops everything above `keep`.
    """
    n = len(relation)
    if remaining == 0 or n <= keep:
        return max(n - keep, 0)
    peaked = 1 - float(torch.special.entr(relation).sum() / math.log(n)) ** 2
    return round((n - keep) / remaining**0.5 * peaked)


def _values(signals, layer: int) -> torch.Tensor:
    values = signals.at("v", layer)
    if values.shape[1] != signals.n + 1:
        raise InputError("FlowCut needs the value states of [CLS] and all patches, [CLS] first.")
    return values


def _device(signals, layer: int) -> torch.device:
    return signals.at("v", layer).device
