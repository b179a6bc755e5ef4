"""CATP, stage 1: keep tokens of each example image that cover it and fit its text."""

from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.coverage import greedy_cover
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.similarity import cosines


@method(
    "catp",
    title="CATP stage 1",
    place="before",
    needs=("feats_post", "text_llm"),
    optional=("crops", "tile", "cell"),
    paper="https://arxiv.org/abs/2508.07871",
    year=2025,
    rest="catp_stage2",
    several_images=True,
    differs=("one text serves all images, where the publication pairs a text with each",),
    query_aware=True,
)
def catp(signals, keep: int, *, alignment: Annotated[float, Range(0, 10, 0.1)] = 0.7) -> Reduction:
    """Keep tokens that greedily maximise coverage of their image + `alignment` x fit to the text.

    Similarity is (cosine + 1) / 2; a token fits the text by its similarity to the mean text
    embedding. Several images (`crops`) share the budget in proportion to their tokens. Published
    for prompts with example images and a text for each; here all images have the same text. The
    published removal is divided equally between two stages: `keep` is the count after stage 1;
    stage 2 is inside the language model. Built from the paper's text; no code is public.
    """
    features, text = signals["feats_post"], signals["text_llm"]
    if features.shape[1] != text.shape[1]:
        raise InputError(f"text_llm has width {text.shape[1]}, feats_post {features.shape[1]}.")
    layout = CropLayout.of(signals)
    fit = (cosines(features, text.mean(0)[None])[:, 0] + 1) / 2
    parts = [layout.members(crop) for crop in range(len(layout.crops))]
    shares = np.diff(np.cumsum([0, *map(len, parts)]) * keep // len(fit))
    score = np.full(len(fit), np.nan)
    order: list[int] = []
    for part, count in zip(parts, shares, strict=True):
        cover = (cosines(features[part]) + 1) / 2
        chosen, gains = greedy_cover(cover, int(count), bonus=alignment * fit[part])
        order.extend(part[chosen])
        score[part[chosen]] = gains
    return Reduction.select(order, len(fit), score=score, order=order)
