"""AIM, stage 2: hide visual tokens with a low page rank in the prompt's attention graph."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def page_rank(attention: torch.Tensor, sharpness: float = 10.0, rounds: int = 5) -> torch.Tensor:
    """Return the importance of every row [a]: where a random walk along attention ends up.

    Args:
        attention: [h, a, a], softmax maps; a masked key has 0.
        sharpness: power of the probabilities; 10 is the published softmax(logits / 0.1).
        rounds: steps of the walk, from the uniform distribution, without damping.

    Returns:
        Root mean square over heads; float64.
    """
    total = torch.zeros(attention.shape[-1], dtype=torch.float64, device=attention.device)
    for head in attention:  # one at a time: a long prompt's maps are large
        sharp = (head.double() / head.amax(-1, keepdim=True).clamp_min(1e-30)) ** sharpness
        step = sharp / sharp.sum(-1, keepdim=True).clamp_min(1e-300)
        walk = torch.full_like(total, 1 / len(total))
        for _ in range(rounds):
            walk = walk @ step
        total += walk**2
    return (total / len(attention)).sqrt()


def _schedule(n: int, keep: int, layers: int, **options):
    first = schedules.in_depth(14, 28, layers)
    steps = max(round(8 * layers / 28), 1)
    counts = schedules.linear(n, keep, [(step + 1) / steps for step in range(steps)])
    at = [schedules.clamped(first + 1 + step, layers) for step in range(steps)]
    return schedules.stages(zip(at, counts, strict=True), n)


@method(
    "aim_mask",
    title="AIM stage 2",
    place="language_model",
    needs=("llm_attn_all", "llm_visual_rows"),
    paper="https://arxiv.org/abs/2412.03248",
    year=2024,
    rest="aim",
    code="LaVi-Lab/AIM",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    removes=False,
    effect="mask",
    depths=(28,),
    schedule=_schedule,
)
def aim_mask(
    signals, keep: int, *, sharpness: Annotated[float, Range(1, 20, 1)] = 10.0
) -> Reduction:
    """Hide visual tokens that a page rank over the attention map of all rows finds unimportant.

    From the middle of the language model on, the same number of further tokens is hidden after each
    of 8 layers (of 28, scaled), until `keep` are left (published: 0). Nothing is removed: rows,
    cache and positions stay, but later rows cannot attend to hidden tokens. Text is never hidden. A
    token to which no other row attends was hidden earlier and stays hidden.

    Attention is causal and the random walk has no damping, so importance moves towards early
    patches: a bias of the published method. Stage 1, merging before the language model, is the
    method "aim".
    """
    attention = signals["llm_attn_all"]
    rows = signals["llm_visual_rows"].to(attention.device)
    unseen = attention.sum((0, 1)) - attention.diagonal(dim1=1, dim2=2).sum(0) <= 0
    unseen[-1] = False  # no row follows that could attend to it
    score = page_rank(attention, sharpness).masked_fill(unseen, -1.0)[rows]
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
