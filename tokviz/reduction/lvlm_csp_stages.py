"""LVLM_CSP, all three parts: few representatives, then all tokens, then those that are attended."""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def _schedule(n: int, keep: int, layers: int, **options):
    scatter, prune = layers_of(layers, options["scatter"], options["prune"])
    cluster = [Stage(1, keep), Stage(scatter, n)] if 1 < scatter < prune else []
    return [*cluster, Stage(prune, keep)]


def layers_of(layers: int, scatter: float, prune: float) -> tuple[int, int]:
    """Return the layer at which all tokens come back, and that at which tokens leave for good."""
    at = schedules.at_depth("prune", prune, layers, 0.5)
    return min(schedules.clamped(round(scatter * layers), layers), at), at


@method(
    "lvlm_csp_stages",
    title="LVLM_CSP (three stages)",
    place="language_model",
    needs=("llm_attn_last",),
    optional=("layer", "num_layers"),
    paper="https://arxiv.org/abs/2504.10854",
    year=2025,
    query_aware=True,
    positions="keep",
    removes=False,
    effect="bypass",
    verified=False,
    schedule=_schedule,
)
def lvlm_csp_stages(
    signals,
    keep: int,
    *,
    scatter: Annotated[float, Range(0, 1, 0.01)] = 0.25,
    prune: Annotated[float, Range(0, 1, 0.01)] = 0.5,
) -> Reduction:
    """Read the image through representatives first, then whole, then through what is attended.

    Clustering: from layer 1 on only every so many-th token goes through the layers, `keep` of them.
    Scattering: at the share `scatter` of the depth all tokens take part again. Pruning: at the
    share `prune` the tokens with the most attention of the last prompt row go on, the others no
    more.

    A stand-in: no code is public and the layers are not stated. The paper prunes by the attention
    of a segmentation token, which other models do not have. On a model too shallow for three stages
    only the last is carried out.
    """
    score = signals["llm_attn_last"].mean(0)
    n, layer = len(score), int(signals["layer"]) if "layer" in signals else None
    layers = int(signals["num_layers"]) if "num_layers" in signals else None
    if layer is not None and layers is not None and layer < layers_of(layers, scatter, prune)[1]:
        order = np.arange(keep) * (n // keep)
    else:
        order = top_k(score, keep).cpu().numpy()
    return Reduction.select(order, n, score=score, order=order)
