"""CoreMatching: do important patches activate the same neurons as the question?"""

from __future__ import annotations

from typing import Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def shared_neurons(active: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Return the number of neurons that are active for each token and for the query row, [n].

    Args:
        active: [n, a], positive where a neuron feeds the down projection.
        query: [a], the same for the query row.
    """
    return ((active > 0) & (query > 0)).sum(1)


def elbow(score: torch.Tensor) -> float:
    """Return the score at the elbow of the sorted curve: the point farthest from its chord.

    Args:
        score: [n]; a flat curve has its elbow at the first point.
    """
    falling = torch.sort(score.double(), descending=True).values
    along = torch.linspace(0, 1, len(falling), dtype=falling.dtype)
    gap = (falling[0] + (falling[-1] - falling[0]) * along - falling).abs()
    return float(falling[int((gap > gap.max() - 1e-12).nonzero()[0])])


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(6, 32, layers), keep)], n)


@method(
    "corematching",
    title="CoreMatching",
    place="language_model",
    needs=("llm_shared_neurons",),
    paper="https://arxiv.org/abs/2505.19235",
    year=2025,
    differs=(
        "tokens leave, where the official code sets keys and values to zero in layers 5 to 18",
        "the neurons that the publication skips all run",
    ),
    code="wangqinsi1/2025-ICML-CoreMatching",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    adaptive=True,
    own_count=True,
    depths=(32,),
    schedule=_schedule,
)
def corematching(
    signals, keep: int, *, variant: Literal["code", "notebook"] = "code", at_elbow: bool = True
) -> Reduction:
    """Keep the tokens that share most active feed-forward neurons with the question.

    The count is found at the elbow of the sorted scores, and `keep` is its upper limit (with
    `at_elbow` off, exactly `keep`). The code takes scores above the elbow, the authors' notebook
    also those at it. It decides once, after layer 5 of 32, scaled to the depth.

    The question's row is that of its last token. The official code takes the fifth row from the
    end whatever the prompt: behind LLaVA-1.5's "ASSISTANT:", the one right after the question.

    Tokens leave from here on, as the paper says. The official code instead sets their keys and
    values to zero in layers 5 to 18, which only later tokens notice and which still takes part in
    the softmax. The paper's second half, skipping neurons, is not about tokens.
    """
    score = signals["llm_shared_neurons"].cpu()
    if keep >= len(score):
        return Reduction.identity(len(score), score=score)
    count, notes = keep, []
    if at_elbow:
        limit = elbow(score)
        above = score > limit
        if variant == "notebook" or not above.any():
            above = score >= limit
        count = min(int(above.sum()), keep)
        notes.append(f"Elbow at {limit:g} shared neurons.")
    order = top_k(score, count)
    return Reduction.select(order, len(score), score=score, order=order, notes=tuple(notes))
