"""FlowCut: to which patches does information flow, layer after layer?"""

from __future__ import annotations

import math
from typing import Literal

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Stage, method
from tokviz.reduction.parts.selection import top_k, tower_layers
from tokviz.reduction.parts.similarity import unit
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

NO_CLS = (
    "This model has no [CLS] token: the mean query of all patches was used instead of its query, "
    "and the similarity to the [CLS] value was left out, as in the official code for Qwen2-VL."
)


def _schedule(n: int, keep: int, layers: int, **options) -> list[Stage]:
    """Every layer but the last scores; how many patches are left where is decided on the way."""
    return [Stage(layer, keep) for layer in range(max(layers - 1, 1))]


@method(
    "flowcut",
    title="FlowCut",
    place="tower",
    needs=("cls_attn", "v"),
    fallbacks={"cls_attn": "q"},
    optional=("k", "carried", "index", "layer", "layers_run", "num_layers"),
    space="pre",
    paper="https://arxiv.org/abs/2505.19536",
    year=2025,
    official_fallbacks=("cls_attn",),
    code="TungChintao/FlowCut",
    licence="Apache-2.0",
    depths=(24,),
    schedule=_schedule,
    gradual=True,
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
def flowcut(signals, keep: int, *, variant: Literal["code", "paper"] = "code") -> Reduction:
    """Drop patches in every second tower layer, more where the [CLS] attention is peaked.

    A layer scores a patch by ([CLS] attention + similarity of its value to the [CLS] value) times
    the size of its value; the running score is the mean of the old one and the new. Patches leave
    while the tower runs, so later layers attend to those that are left. The last cut, to exactly
    `keep`, is after the layer before the one that gives the features.

    The similarity is a softmax of plain dot products in the code. The paper calls it a cosine;
    how it scales them could not be read, so `variant="paper"` puts cosines into the same softmax.

    The official batch prunes by its most peaked image, here each image by itself. Without a [CLS]
    token the relation is that of the mean query, as the official code has it for Qwen2-VL. There
    single patches leave before the 2 x 2 merger, which then mixes patches that are no neighbours;
    here the patches of a token leave together. The further cut inside the language model for
    LLaVA-NeXT is left out.

    Given every layer of a complete tower and no `layer`, the layers are read one after the other,
    each restricted to the patches that are left: what the rule would do if leaving changed nothing.
    """
    if "layer" not in signals:
        return _complete_tower(signals, keep, variant)
    n, layer = signals.n or 0, int(signals["layer"])
    last = _layers_run(signals) - 2  # after this layer comes the one of the features
    scores, relation = layer_scores(signals, layer, torch.arange(n), variant)
    running = 0.5 * signals["carried"].cpu() + 0.5 * scores if "carried" in signals else scores
    return _select(running, _count(relation, keep, max(last - layer, 0)), signals)


def _complete_tower(signals: Signals, keep: int, variant: str) -> Reduction:
    """Read all layers of a tower that ran with every patch."""
    scored = max(_layers_run(signals) - 1, 1)
    n = signals.n or 0
    left, running = torch.arange(n), torch.zeros(n)
    for layer in range(scored):
        scores, relation = layer_scores(signals, layer, left, variant)
        running = scores if layer == 0 else 0.5 * running + 0.5 * scores
        best = top_k(running, _count(relation, keep, scored - layer - 1)).sort().values
        left, running = left[best], running[best]
        if len(left) <= keep:
            break
    score = torch.full((n,), math.nan)
    score[left] = running
    return _select(score, len(left), signals, left[top_k(running, len(left))])


def _layers_run(signals: Signals) -> int:
    """Return how many layers lead to the features; by default all but the last, as in LLaVA."""
    if "layers_run" in signals:
        return int(signals["layers_run"])
    return tower_layers(signals, "v") - 1


def _select(
    score: torch.Tensor, count: int, signals: Signals, order: torch.Tensor | None = None
) -> Reduction:
    best = top_k(score, count) if order is None else order
    notes = () if "cls_attn" in signals else (NO_CLS,)
    return Reduction.select(best, len(score), score=score, order=best, notes=notes)


def _count(relation: torch.Tensor, keep: int, remaining: int) -> int:
    """Return how many patches are left after a layer; nothing leaves after every second one."""
    n = len(relation)
    return n if remaining % 2 else max(n - prune_count(relation, keep, remaining), keep)


def layer_scores(
    signals: Signals, layer: int, left: torch.Tensor, variant: str = "code"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one layer's score and relation [k] of the patches that are left (int64 [k])."""
    left = left.to(signals.at("v", layer).device)
    if "cls_attn" not in signals:
        relation = _global_relation(signals, layer, left)
        density = signals.patches("v", layer).mean(0)[left].abs().sum(1)
        return (relation * density).cpu(), relation.cpu()
    relation = signals.at("cls_attn", layer).mean(0)[left]
    values = signals.at("v", layer)
    if values.shape[1] != (signals.n or 0) + 1:
        raise InputError("FlowCut needs the value states of [CLS] and all patches, [CLS] first.")
    alive = values[:, torch.cat([left.new_zeros(1), left + 1])]
    compared = alive if variant == "code" else unit(alive)
    likeness = torch.einsum("hd,hnd->hn", compared[:, 0], compared)
    semantic = likeness.softmax(1).mean(0)[1:]
    density = alive.mean(0)[1:].abs().sum(1)
    relation = relation / relation.sum()
    return combined(relation, semantic, density).cpu(), relation.cpu()


def _global_relation(signals: Signals, layer: int, left: torch.Tensor) -> torch.Tensor:
    """Softmax attention [k] of the mean query of the patches that are left, head mean."""
    query, keys = signals.patches("q", layer)[:, left], signals.patches("k", layer)[:, left]
    logits = torch.einsum("hd,hnd->hn", query.mean(1), keys) / query.shape[-1] ** 0.5
    return logits.softmax(1).mean(0)


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
