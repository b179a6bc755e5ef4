"""Sliding windows keep their meaning when tokens are removed, while the answer is written too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import MistralConfig

import tokviz
from tests.models.families.test_parts import build
from tests.models.test_promises import PROMPT
from tests.models.tiny import text_sizes
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.windows import Windows, sliding_layers
from tokviz.plans import Plan, Step, chosen
from tokviz.testing.on_families import run_plan

pytestmark = pytest.mark.matrix

WITH_WINDOWS = ("gemma3", "paligemma2", "mistral")


@pytest.fixture(scope="module", params=WITH_WINDOWS)
def windowed(request, checkpoint):
    """A model whose windows are shorter than its prompts."""
    if request.param == "mistral":  # names its window in the config alone
        return tokviz.load(build(MistralConfig(**text_sizes(sliding_window=24))))
    return tokviz.load(checkpoint(request.param))


def continued(vlm, prepared, ids):
    """Inputs of prompt and answer in one go, and how their rows are typed."""
    inputs = {k: v for k, v in prepared.inputs.items() if k != "attention_mask"}
    answer = torch.tensor([ids])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
    if "token_type_ids" in inputs:
        suffix = torch.full_like(answer, int(vlm.family.name == "paligemma"))
        inputs["token_type_ids"] = torch.cat([inputs["token_type_ids"], suffix], 1)
    positions = torch.arange(inputs["input_ids"].shape[1])[None] + prepared.positions[..., :1]
    return inputs, positions


def test_the_mask_of_rows_that_move_up_is_of_their_places_in_the_prompt(windowed):
    """The library's mask depends on which rows are left: pictures are seen in both directions."""
    windows = Windows(
        windowed.family.decoder(windowed.model),
        torch.tensor([0, 3, 4, 7]),
        8,
        lambda places: places,
    )
    assert windows.packed(torch.tensor([1, 3])).tolist() == [3, 7]


def test_every_step_of_the_answer_after_removal_equals_masking(windowed, cat):
    prepared = windowed.prepare([cat, cat.rotate(90, expand=True)], PROMPT)
    layout, rows = prepared.asked.layout, len(prepared.asked.prompt_ids)
    kept = np.sort(np.random.default_rng(2).permutation(layout.n)[: layout.n // 3])
    logits, run = run_plan(windowed, prepared, chosen(Reduction.select(kept, layout.n)))
    assert rows > 2 * max(sliding_layers(run.lane.decoder).values())
    inputs, positions = continued(windowed, prepared, run.lane.ids)
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, np.delete(layout.position, kept)] = 0
    with torch.inference_mode():
        masked = windowed.model(**inputs, attention_mask=mask, position_ids=positions).logits[0]
    for step, ours in enumerate(logits):
        assert torch.allclose(ours, masked[rows - 1 + step], atol=1e-4), step


def test_every_step_after_removal_inside_equals_masking_from_that_layer(windowed, cat, every_third):
    prepared = windowed.prepare([cat, cat.rotate(90, expand=True)], PROMPT)
    layout, rows = prepared.asked.layout, len(prepared.asked.prompt_ids)
    plan = Plan((Step("every-third", 20, positions="keep"),))
    logits, run = run_plan(windowed, prepared, plan)
    (first, one, _), (second, two, _) = run.lane.stages.done
    inputs, positions = continued(windowed, prepared, run.lane.ids)
    left = one.then(two).position
    dead = {
        first: np.delete(layout.position, one.position),
        second: np.delete(layout.position, left),
    }
    with windowed.guarded():
        masked = hidden_from(windowed, inputs, positions, dead)
    for step, ours in enumerate(logits):
        assert torch.allclose(ours, masked[rows - 1 + step], atol=1e-4), step


def hidden_from(vlm, inputs, positions, dead):
    """Logits [rows, v] at full length; from each layer on, nobody sees that layer's dead rows."""

    def hook(gone):
        def hide(module, args, kwargs):
            sees = kwargs["attention_mask"].clone()
            sees[..., gone] = False
            sees[0, 0, gone, gone] = True
            return args, {**kwargs, "attention_mask": sees}

        return hide

    layers = vlm.family.decoder(vlm.model).layers
    handles = [
        block.register_forward_pre_hook(hook(torch.as_tensor(gone)), with_kwargs=True)
        for start, gone in dead.items()
        for block in layers[start:]
    ]
    try:
        return vlm.model(**inputs, position_ids=positions).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def test_removed_and_renumbered_rows_have_the_windows_of_a_short_prompt(windowed, cat):
    prepared = windowed.prepare(cat, PROMPT)
    n = prepared.asked.layout.n
    kept = np.arange(0, n, 3)
    step = Step("by hand", len(kept), reduction=Reduction.select(kept, n), positions="repack")
    logits, run = run_plan(windowed, prepared, Plan((step,)))
    prefill_input = run.prefill_input
    short = windowed.model.generate(
        input_ids=prefill_input.input_ids,
        attention_mask=torch.ones_like(prefill_input.input_ids),
        **prefill_input.row_inputs,
        mm_encoder_outputs={"image": windowed.family.encoder_outputs(prefill_input.features)},
        max_new_tokens=6,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    for ours, theirs in zip(logits, short.logits, strict=False):
        assert torch.equal(ours, theirs[0])


def test_rows_renumbered_inside_have_short_windows_while_writing_too(windowed, cat, every_third):
    """One long prefill over prompt and answer gives the logits of the last step again."""
    prepared = windowed.prepare(cat, PROMPT)
    plan = Plan((Step("every-third", 8, positions="repack"),))
    logits, run = run_plan(windowed, prepared, plan)
    inputs, positions = continued(windowed, prepared, run.lane.ids[: len(logits) - 1])
    asked = replace(prepared.asked, prompt_ids=inputs["input_ids"][0].numpy())
    longer = replace(prepared, asked=asked, inputs=inputs, positions=positions)
    with windowed.guarded():
        prefill_input = make_prefill_input(
            windowed.family, windowed.model, longer, run.shared, plan
        )
        lane = Lane(
            windowed.family, windowed.model, prefill_input.stages, positions, Capture.nothing()
        )
        lane.prefill(inputs["input_ids"], prefill_input.features, prefill_input.row_inputs)
    assert torch.allclose(lane.logits, logits[-1], atol=1e-4)


@pytest.mark.parametrize("name", ["fastv", "divprune"])
def test_attention_of_layers_with_a_window_is_recorded_in_place(windowed, cat, name):
    trace = windowed.answer([cat, cat], PROMPT, tokviz.plan(name, keep=30), 6)
    assert np.abs(trace["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
    gone = trace.reduction.group < 0
    assert not trace["attention"][:, -1][:, gone].any()
