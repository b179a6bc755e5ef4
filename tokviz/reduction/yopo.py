"""YOPO: do visual tokens need all the computation that text tokens get?"""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.exits import leave
from tokviz.reduction.parts.schedules import at_depth


def neighbours(grid: tuple[int, int], window: int) -> np.ndarray:
    """Return which patches may attend to which, bool [n, n]: those in a window around each patch.

    It replaces the causal mask among visual tokens, so patches also attend to later ones.

    Args:
        grid: (rows, cols).
        window: side of the window; an even one counts as the next smaller odd one.
    """
    rows, cols = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    reach = (window - 1) // 2
    near = np.abs(rows[:, None] - rows) <= reach
    return near & (np.abs(cols[:, None] - cols) <= reach)


def vision_ratio(visual: np.ndarray, text: np.ndarray, system: np.ndarray) -> np.ndarray:
    """Return each head's attention to the image over its attention to text and system prompt.

    Args:
        visual: [..., h], summed attention to the visual tokens.
        text: the same to the text after the image.
        system: the same to the rows before the image.
    """
    return visual / np.maximum(text + system, 1e-12)


def active_heads(ratios: np.ndarray, threshold: float, share: float = 0.4) -> np.ndarray:
    """Return which heads stay active for vision, bool [h].

    Args:
        ratios: [samples, h], `vision_ratio` on calibration prompts.
        threshold: ratio above which a head counts as attending to the image.
        share: share of the prompts in which it must do so; published: more than 40 of 100.
    """
    return (ratios > threshold).mean(0) > share


def mask_heads(attention: np.ndarray, visual: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return the softmax map without the visual keys of idle heads, not renormalised, as published.

    Args:
        attention: [h, q, k].
        visual: int64 [n], visual keys.
        active: bool [h].
    """
    masked = attention.copy()
    masked[np.ix_(~active, np.arange(masked.shape[1]), visual)] = 0
    return masked


def cut_channels(inner: np.ndarray, visual: np.ndarray, ratio: float = 2.0) -> np.ndarray:
    """Return a feed-forward module's inner activations with fewer channels for visual rows.

    Args:
        inner: [a, m], input of the down projection, all rows of the prompt.
        visual: int64 [n], the visual rows.
        ratio: the first m / ratio channels stay for them; published: 2.
    """
    cut = inner.copy()
    cut[visual, int(inner.shape[1] / ratio) :] = 0
    return cut


def _schedule(n: int, keep: int, layers: int, **options):
    return [Stage(at_depth("cut", options["cut"], layers, default=0.86), keep)]


@method(
    "yopo",
    title="YOPO (layer cut)",
    place="language_model",
    needs=("llm_attn_last",),
    paper="https://arxiv.org/abs/2410.06169",
    year=2024,
    differs=(
        "only the cut of the last layers acts: attention windows, heads and channels stay whole",
        "the model was not fine-tuned for it",
    ),
    code="ZhangAIPI/YOPO_MLLM_Pruning",
    licence="MIT",
    positions="keep",
    removes=False,
    effect="mask",
    adaptive=True,
    schedule=_schedule,
)
def yopo(
    signals,
    keep: int,
    *,
    cut: Annotated[float, Range(0, 1, 0.01)] = 0.86,
    everything: bool = True,
) -> Reduction:
    """Hide the whole image from the text in the last layers.

    From layer 24 of 28 on (Qwen2-VL; 20 of 40 for a fine-tuned LLaVA 13B) text rows no longer
    attend to visual tokens; nothing is removed. With `everything` off, `keep` tokens stay visible,
    those that the last row attends to most. keep = all tokens switches the cut off.

    Only this cut is carried out on a model. The other savings of the paper are functions of this
    module that work on arrays: attention among patches in a window (`neighbours`), heads that
    ignore the image (`vision_ratio`, `active_heads`, `mask_heads`), half of the MLP channels for
    visual rows (`cut_channels`). They mask edges and channels, not tokens, so the viewer cannot
    show them per token; the window and the channels need the paper's fine-tuning.
    """
    return leave(signals["llm_attn_last"].mean(0), keep, everything)
