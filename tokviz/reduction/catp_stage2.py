"""CATP, stage 2: which patches of the example images gain attention between two layers?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    two_before = schedules.clamped(2, layers)  # the decision compares the last two layers
    return schedules.stages([(max(schedules.in_depth(7, 32, layers), two_before), keep)], n)


@method(
    "catp_stage2",
    title="CATP stage 2",
    place="language_model",
    needs=("llm_attn_last", "llm_attn_last_before", "llm_hidden", "llm_hidden_query"),
    fallbacks={"llm_hidden_query": "llm_hidden_last"},
    optional=("llm_image",),
    paper="https://arxiv.org/abs/2508.07871",
    year=2025,
    rest="catp",
    several_images=True,
    query_aware=True,
    positions="keep",
    verified=False,
    depths=(32,),
    schedule=_schedule,
)
def catp_stage2(
    signals, keep: int, *, alignment: Annotated[float, Range(0, 2, 0.05)] = 0.6
) -> Reduction:
    """Keep example patches whose attention rises and that resemble the query sample.

    For several images, of which the last belongs to the question. Score of an example's token: how
    much the last row's attention to it grew from layer K - 1 to K (0 if it fell), plus 0.6 times
    its cosine to the mean state of the question's tokens. All examples share one ranking. Tokens
    of the question's own image are ranked by their cosine to the mean of the examples' kept tokens.
    Each side keeps its share of `keep`. With one image, all of its tokens count as example.

    K = 6 of 32, scaled to the depth. A stand-in: no code is public and the positions are not
    stated; the paper takes the second decision one layer later. Stage 1, before the language
    model, is the method "catp".
    """
    hidden = signals["llm_hidden"]
    name = "llm_hidden_query" if "llm_hidden_query" in signals else "llm_hidden_last"
    notes = []
    if name == "llm_hidden_last":
        notes.append("The state of the last prompt row was used for the whole question.")
    rise = (signals["llm_attn_last"].mean(0) - signals["llm_attn_last_before"].mean(0)).clamp_min(0)
    score = (rise + alignment * (unit(hidden) @ unit(signals[name]))).cpu()
    n = len(score)
    image = signals["llm_image"].cpu() if "llm_image" in signals else torch.zeros(n)
    example = torch.nonzero(image < image.max()).flatten()
    query = torch.nonzero(image == image.max()).flatten()
    if not len(example):
        example, query = query, example
    count = max(min(round(keep * len(example) / n), keep), keep - len(query))
    kept = example[top_k(score[example], count)]
    if len(query):
        centre = hidden[kept if count else example].mean(0)
        score[query] = (unit(hidden[query]) @ unit(centre)).cpu()
        kept = torch.cat([kept, query[top_k(score[query], keep - count)]])
    roles = {"example": example, "query image": query}
    return Reduction.select(kept, n, score=score, order=kept, roles=roles, notes=tuple(notes))
