"""FastV: is half of the image enough after layer 2?"""

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def _schedule(n: int, keep: int, layers: int, **options):
    at = schedules.at_layer("layer", options["layer"], layers)
    return schedules.stages([(at, keep)], n)


@method(
    "fastv",
    title="FastV",
    place="language_model",
    needs=("llm_attn_last",),
    paper="https://arxiv.org/abs/2403.06764",
    year=2024,
    code="pkunlp-icler/FastV",
    licence="none stated",
    query_aware=True,
    positions="keep",
    depths=(32, 40),
    schedule=_schedule,
    published=(
        Published(
            "192 tokens",
            "another paper's table",
            {
                "GQA": 52.7,
                "MMB": 61.2,
                "MME": 1612,
                "POPE": 64.8,
                "SQA": 67.3,
                "VQAv2": 67.1,
                "TextVQA": 52.5,
            },
        ),
        Published(
            "K = 2, half removed",
            "TransPrune's paper",
            {"GQA": 59.4, "MMB": 64.2, "MME-P": 1474, "POPE": 84.0, "VQAv2": 77.0},
        ),
        Published(
            "K = 2, 75 % removed",
            "TransPrune's paper",
            {"GQA": 56.6, "MMB": 62.3, "MME-P": 1394, "POPE": 79.2, "VQAv2": 74.3},
        ),
        Published("K = 3, half removed", "own repository", {"GQA": 60.4, "MME-P": 1511.7}),
    ),
)
def fastv(signals, keep: int, *, layer: Annotated[int, Range(1, 64, 1)] = 2) -> Reduction:
    """Keep the visual tokens that the last prompt row attends to most in an early layer.

    The score is the attention of layer K - 1, mean over heads; the other tokens are removed before
    layer K, once, in the prefill. K = 2 is absolute, as published: it is not scaled with the depth,
    and a layer that the model does not have is refused. Kept tokens keep their position ids.

    The official code has three versions of this method: masking, removing again for every generated
    token, and this one, which shortens the KV cache.
    """
    score = signals["llm_attn_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
