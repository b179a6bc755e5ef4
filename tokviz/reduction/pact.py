"""PACT: remove unimportant tokens, then merge duplicates."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch


def bounded_peaks(distances: torch.Tensor, cutoff: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster so that no centre is closer to a denser token than a cutoff.

    In each round a token becomes a centre if every denser token of the pool is farther than the
    cutoff; centres and all tokens within the cutoff of a centre are then removed from the pool.

    Args:
        distances: [n, n], 1 - cosine.
        cutoff: 0 to 2.

    Returns:
        centres, ascending, and the nearest centre of every token [n], as a number in centres.
    """
    n = len(distances)
    density = torch.exp(-((distances / 2) ** 2)).sum(1)
    order = torch.sort(density, descending=True, stable=True).indices
    rank = torch.empty(n, dtype=torch.long)
    rank[order] = torch.arange(n)
    denser = rank[None] < rank[:, None]
    pool, centre = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    while pool.any():
        nearest = distances.masked_fill(~(denser & pool[None]), float("inf")).min(1).values
        new = pool & (nearest > cutoff)
        centre |= new
        pool &= ~new & ~(distances[:, new] <= cutoff).any(1)
    centres = torch.nonzero(centre).flatten()
    cluster = distances[:, centres].argmin(1)
    cluster[centres] = torch.arange(len(centres))
    return centres, cluster


def cutoff_for(distances: torch.Tensor, cutoff: float, keep: int) -> float:
    """Return the cutoff, raised until there are at most `keep` clusters."""
    if len(bounded_peaks(distances, cutoff)[0]) <= keep:
        return cutoff
    low, high = cutoff, 2.01
    for _ in range(20):
        middle = (low + high) / 2
        fits = len(bounded_peaks(distances, middle)[0]) <= keep
        low, high = (low, middle) if fits else (middle, high)
    return high


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(4, 32, layers), keep)], n)


@method(
    "pact",
    title="PACT",
    place="language_model",
    kind="both",
    needs=("llm_attn_mean_query", "llm_hidden", "llm_keys"),
    optional=("index",),
    paper="https://arxiv.org/abs/2504.08966",
    year=2025,
    differs=("keys of merged tokens get no log of their size in attention",),
    code="orailix/PACT",
    licence="MIT",
    positions="keep",
    adaptive=True,
    own_count=True,
    depths=(32,),
    schedule=_schedule,
)
def pact(
    signals,
    keep: int,
    *,
    important: Annotated[float, Range(0.05, 1, 0.01)] = 0.55,
    cutoff: Annotated[float, Range(0.01, 2, 0.01)] = 0.21,
    recover: Annotated[float, Range(0, 4, 0.1)] = 1.5,
) -> Reduction:
    """Keep the important 55 %, cluster them by their keys, and merge each cluster into its mean.

    Importance: attention of the mean visual query (before rotary positions) times the length of the
    state. Clusters: density peaks over 1 - cosine of the rotated keys, none wider than the cutoff.
    A pruned token within 1.5 cutoffs of a centre joins that cluster after all. The mean takes the
    centre's position. Once, before layer 4 of 32, scaled to the depth.

    As published the image decides the count; `keep` is its upper limit: the cutoff is raised until
    it is met, and fewer tokens may remain. Proportional attention (a key bias of log(cluster size))
    is published too and is not applied here.
    """
    attention = signals["llm_attn_mean_query"].mean(0)
    score = (attention * signals["llm_hidden"].norm(dim=1)).cpu()
    n = len(score)
    if keep >= n:
        return Reduction.identity(n, score=score)
    chosen = top_k(score, max(int(important * n), 1)).sort().values
    keys = unit(signals["llm_keys"].permute(1, 0, 2).reshape(n, -1))
    distances = (1 - keys @ keys.T).clamp_min(0).cpu()
    inner = distances[chosen][:, chosen]
    limit = cutoff_for(inner, cutoff, keep)
    centres, cluster = bounded_peaks(inner, limit)
    to_centre = distances[:, chosen[centres]]
    label = torch.where(to_centre.min(1).values <= recover * limit, to_centre.argmin(1), -1)
    label[chosen] = cluster
    return _named_after_centres(label, chosen[centres], score, signals)


def _named_after_centres(label, centres, score, signals) -> Reduction:
    """Merge clusters; each mean has the position of its centre, not of its lowest token."""
    number = original_numbers(signals).cpu().clone()
    number[centres] -= int(number.max()) + 1
    roles = {"centre": centres}
    return merge_labels(label, torch.ones(len(label)), number, score=score, roles=roles)
