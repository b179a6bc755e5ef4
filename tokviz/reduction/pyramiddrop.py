"""PyramidDrop: are fewer and fewer visual tokens needed the deeper the layer?"""

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def _schedule(n: int, keep: int, layers: int, **options):
    counts = schedules.geometric(n, keep, (1 / 3, 2 / 3, 1))
    at = [schedules.in_depth(quarter, 4, layers) for quarter in (1, 2, 3)]
    return schedules.stages(zip(at, counts, strict=True), n)


@method(
    "pyramiddrop",
    title="PyramidDrop",
    place="language_model",
    needs=("llm_peek_last",),
    paper="https://arxiv.org/abs/2410.17247",
    year=2024,
    code="Cooperx521/PyramidDrop",
    licence="MIT",
    query_aware=True,
    schedule=_schedule,
    published=(
        Published(
            "mean 270 tokens",
            "TransPrune's paper",
            {"GQA": 60.1, "MMB": 64.9, "MME-P": 1500, "POPE": 84.8, "VQAv2": 77.7},
        ),
        Published(
            "192 tokens",
            "other papers' tables (GQA 57.1 to 57.3)",
            {"GQA": 57.1, "MMB": 62.9, "MME": 1766, "POPE": 82.3, "VQAv2": 75.1},
        ),
    ),
)
def pyramiddrop(signals, keep: int) -> Reduction:
    """Remove the same share of the visual tokens after each quarter of the language model.

    The score is the attention of the last prompt row with the queries and keys of the next layer,
    mean over heads. Published: before layers 8, 16 and 24 of 32, scaled to other
    depths, keeping half each time. `keep` is the count after the last stage, so half each time is
    keep = n / 8 (72 of 576); another budget keeps (keep / n) ^ (1/3) each time. Positions are
    renumbered after every stage.
    """
    score = signals["llm_peek_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
