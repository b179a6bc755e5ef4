"""TransPrune: do important tokens change more in a layer?"""

from __future__ import annotations

from typing import Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def transition(
    inputs: torch.Tensor, outputs: torch.Tensor, visual: torch.Tensor, variant: str = "code"
) -> torch.Tensor:
    """Return the transition variation of the visual tokens [n] in one attention or MLP module.

    The change in length times a softmax over the change in direction.

    Args:
        inputs: [a, d], normalised input of the module, all rows of the prompt.
        outputs: [a, d], its output before it is added to the residual stream.
        visual: int64 [n], the rows of the visual tokens.
        variant: "code" takes 1 - cos and a softmax over all rows, "paper" 1 - |cos| and one over
            the visual tokens. A token whose module output flips its sign is first for the code and
            last for the paper.
    """
    inputs, outputs = inputs.float(), outputs.float()
    length = outputs.norm(dim=-1) / inputs.norm(dim=-1).clamp_min(1e-12)
    cosine = torch.nn.functional.cosine_similarity(inputs, outputs, dim=-1, eps=1e-12)
    if variant == "code":
        return ((1 - cosine).softmax(0) * length)[visual]
    return (1 - cosine.abs())[visual].softmax(0) * length[visual]


def _schedule(n: int, keep: int, layers: int, **options):
    counts = schedules.linear(n, keep, (1 / 7, 3 / 7, 1))
    watched = schedules.clamped(round(6 * layers / 32) + 1, layers)  # one layer at least
    at = [max(schedules.in_depth(layer, 32, layers), watched) for layer in (7, 9, 12)]
    return schedules.stages(zip(at, counts, strict=True), n)


@method(
    "transprune",
    title="TransPrune",
    place="language_model",
    needs=("llm_transition", "llm_peek_text"),
    paper="https://arxiv.org/abs/2507.20630",
    year=2025,
    code="liaolea/TransPrune",
    licence="MIT",
    query_aware=True,
    depths=(32,),
    schedule=_schedule,
    published=(
        Published(
            "high (mean 236 tokens)",
            "own paper",
            {
                "GQA": 61.4,
                "MMB": 66.0,
                "MME-P": 1540,
                "POPE": 85.0,
                "SQA": 69.5,
                "VQAv2": 77.9,
                "TextVQA": 57.8,
            },
        ),
        Published(
            "low (31.2 % FLOPs)",
            "own paper",
            {
                "GQA": 60.0,
                "MMB": 65.6,
                "MME-P": 1491,
                "POPE": 85.1,
                "SQA": 68.7,
                "VQAv2": 76.6,
                "TextVQA": 56.5,
            },
        ),
    ),
)
def transprune(signals, keep: int, *, variant: Literal["code", "paper"] = "code") -> Reduction:
    """Keep tokens that the layers change most and that the text attends to.

    The first term sums, over attention and feed-forward modules of layers 6 to 11 of 32 so far, how
    much each changes the length and direction of a token (`transition` in this module). The second
    is the mean attention of all rows after the image with the next layer's queries and keys. The
    code adds both after dividing each by its sum; the paper adds half of each as it is.

    Published: 504, 360 and 72 of 576 tokens before layers 7, 9 and 12 of 32; scaled to the depth,
    and for other budgets 1/7, 3/7 and all of the tokens to remove. Positions are renumbered.
    """
    change = signals["llm_transition"].cpu()
    guided = signals["llm_peek_text"].mean((0, 1)).cpu()
    if variant == "code":
        score = change / (change.sum() + 1e-8) + guided / (guided.sum() + 1e-8)
    else:
        score = 0.5 * change + 0.5 * guided
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
