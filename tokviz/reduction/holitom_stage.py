"""HoliTom, inside the language model: half of the tokens join the ones most similar to them."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.similarity import unit


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(18, 28, layers), keep)], n)


@method(
    "holitom_stage",
    title="HoliTom (language-model stage)",
    place="language_model",
    kind="merge",
    needs=("llm_attn_last", "llm_hidden"),
    paper="https://arxiv.org/abs/2505.21334",
    year=2025,
    rest="holitom",
    code="cokeshao/HoliTom",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    depths=(28,),
    several_images=True,
    schedule=_schedule,
)
def holitom_stage(signals, keep: int) -> Reduction:
    """Keep what the last prompt row attends to most before layer 18 of 28; average the rest in.

    Each other token joins the kept token with the most similar state, one after another in raster
    order: the mean of the kept token so far and the newcomer. The last one to join therefore weighs
    half. As published half of the tokens are kept.
    """
    score = signals["llm_attn_last"].mean(0).cpu()
    states = unit(signals["llm_hidden"].float())
    kept = top_k(score, keep)
    gone = np.setdiff1d(np.arange(len(score)), kept.numpy())
    joins = (states[gone] @ states[kept.to(states.device)].T).argmax(1).cpu().numpy()
    rows = Rows()
    for number, token in enumerate(kept.tolist()):
        own = gone[joins == number]
        halves = 0.5 ** np.arange(len(own), 0, -1)  # of those that join, the first to the last
        first = 0.5 ** len(own)
        rows.add(np.concatenate([[token], own]), np.concatenate([[first], halves]), token)
    return rows.reduction(len(score), score=score, order=kept)
