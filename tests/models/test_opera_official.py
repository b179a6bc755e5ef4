"""OPERA's numbers in the engine against the official computation on whole attention maps."""

import numpy as np
import pytest
import torch

from tokviz.mitigation.opera import penalty
from tokviz.plans import plan

PROMPT = "what is this?"
NEW = 14


def whole_map(vlm, inputs, answer):
    """Last layer's softmax map [h, q, q] over prompt and answer, from eager attention."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], 1)
    decoder = vlm.family.decoder(vlm.model)
    decoder.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            out = vlm.model(
                **{**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)},
                output_attentions=True,
            )
    finally:
        decoder.set_attn_implementation("tokviz")
    return out.attentions[-1][0].double()


def published(attention, start, image, scale=50.0):
    """What the published decoding computes for one candidate: score, its place, and the penalty.

    Args:
        attention: [h, q, q] of prompt and answer, the candidate being the last row.
        start: first row of the answer.
        image: (first, last + 1) row of the image.
    """
    square = attention.amax(0)
    square = square / square.sum(-1, keepdim=True)
    block = scale * square[start:, start:]
    columns = torch.stack([1e-7 * block[j:, j].prod() for j in range(len(block))])
    on_image = square[-1, image[0] : image[1]].sum()
    taken = -on_image if len(block) <= 10 else columns.max()
    return float(columns.max()), int(columns.argmax()), float(taken)


@pytest.mark.parametrize("question", [PROMPT, "a red dog"])
def test_every_word_has_the_published_score(vlm, cat, question):
    trace = vlm.answer(cat, question, plan(mitigation="opera"), NEW)
    prepared = vlm.prepare(cat, question)
    start = len(prepared.asked.prompt_ids)
    at = np.asarray(prepared.asked.layout.position)
    maps = whole_map(vlm, prepared.inputs, [int(i) for i in trace["answer_ids"][:-1]])
    told = trace.mitigation.told
    assert len(told["penalty"]) == len(told["log10_over_trust"]) == trace.t - 1 > 10
    for step in range(trace.t - 1):
        rows = start + step + 1
        score, place, taken = published(maps[:, :rows, :rows], start, (at[0], at[-1] + 1))
        assert told["log10_over_trust"][step] == pytest.approx(np.log10(score), abs=1e-4)
        assert told["anchor"][step] == place
        assert told["penalty"][step] == pytest.approx(taken, rel=1e-3)


def test_short_answers_are_judged_by_the_image_and_long_ones_by_the_anchor():
    assert penalty(10, 3.0, 0.4) == -0.4
    assert penalty(11, 3.0, 0.4) == pytest.approx(1000)
    assert np.isfinite(penalty(900, 1500.0, 0.4))
