"""MMTok: which tokens cover both the question's words and the image?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.coverage import greedy_cover
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch


@method(
    "mmtok",
    title="MMTok",
    place="before",
    needs=("feats_post", "feats_pre", "text_llm"),
    fallbacks={"feats_pre": "feats_post"},
    optional=("unpad_mask",),
    paper="https://arxiv.org/abs/2508.18264",
    year=2025,
    differs=("stop words and standard phrases of the question stay in, which the code takes out",),
    code="Ironieser/MMTok",
    licence="Apache-2.0",
    query_aware=True,
    published=(
        Published(
            "192 tokens",
            "re-run in the StackTok paper",
            {"GQA": 60.1, "MME": 1773, "POPE": 86.4, "TextVQA": 57.6},
        ),
        Published(
            "128 tokens",
            "re-run in the StackTok paper",
            {"GQA": 59.3, "MME": 1779, "POPE": 86.2, "TextVQA": 57.0},
        ),
        Published(
            "64 tokens",
            "re-run in the StackTok paper",
            {"GQA": 58.3, "MME": 1715, "POPE": 85.7, "TextVQA": 56.0},
        ),
    ),
)
def mmtok(
    signals,
    keep: int,
    *,
    alpha: Annotated[float, Range(0, 10, 0.1)] = 0.5,
    text_temperature: Annotated[float, Range(0.001, 1)] = 0.02,
    image_temperature: Annotated[float, Range(0.001, 1)] = 0.2,
) -> Reduction:
    """Keep the tokens that together cover most of the question's words and of the patches.

    A word is covered by a softmax over tokens of its cosine with their projected features, a patch
    by the same over features before the projector; patches weigh `alpha`. Padding tokens come last.
    The official code first removes stop words and a data set's standard phrases from the question;
    here `text_llm` is used unchanged. The official text temperature is 0.01 for Qwen.
    """
    after, text = signals["feats_post"], signals["text_llm"]
    notes: tuple[str, ...] = ()
    if "feats_pre" not in signals:
        notes = ("feats_pre is missing: the projected features were used for the image too.",)
    if after.shape[1] != text.shape[1]:
        raise InputError(f"text_llm has width {text.shape[1]}, feats_post {after.shape[1]}.")
    before = signals["feats_pre"] if "feats_pre" in signals else after  # noqa: SIM401
    words = _share(text, after, text_temperature)
    patches = _share(before, before, image_temperature)
    cover = torch.cat([words, alpha * patches]).T.contiguous().cpu().numpy()
    allowed = None
    if "unpad_mask" in signals:
        allowed = signals["unpad_mask"].cpu().numpy() > 0
    order, gains = greedy_cover(cover, keep, allowed=allowed)
    score = np.full(len(after), np.nan)
    score[order] = gains
    return Reduction.select(order, len(after), score=score, order=order, notes=notes)


def _share(things: torch.Tensor, tokens: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how much each token covers each thing, [n, r]: softmax of cosines, divided by r."""
    return (unit(things) @ unit(tokens).T / temperature).softmax(1) / len(things)
