"""The three promises: keeping all changes nothing, removing equals masking, nothing stays."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.decoder import DecoderStages
from tokviz.models.lane import Lane
from tokviz.models.run import Run
from tokviz.plans import Plan, Step, chosen
from tokviz.reduction import METHODS, Stage, method

PROMPT = "what is this?"
NEW = 6


def generate(vlm, prepared, **changes):
    """Plain transformers generate(), with the logits of every step."""
    return vlm.model.generate(
        **{**prepared.inputs, **changes},
        max_new_tokens=NEW,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )


def hooks(model):
    """Every hook by module. transformers itself leaves recording hooks on tower blocks."""
    return {
        key: [*module._forward_hooks, *module._forward_pre_hooks]
        for key, module in model.named_modules()
    }


def run_lane(vlm, prepared, plan, capture=None):
    """Run one plan and return the logits of every step, and the finished run."""
    capture = capture or Capture()
    with vlm.guarded():
        shared = vlm.encode(prepared, [plan], capture)
        run = Run(vlm, prepared, shared, {}, plan, capture)
        run.start()
        logits = [run.lane.logits]
        while len(run.lane.ids) < NEW and not run.view.done:
            run.step()
            logits.append(run.lane.logits)
    return logits, run


def everywhere(n):
    """One plan per place that keeps every token, each taking the code path of its place."""
    return {
        "before": chosen(Reduction.identity(n)),
        "tower": Plan((Step("tome", n),)),
        "language_model": Plan((Step("fastv", n),)),
    }


@pytest.mark.parametrize("place", ["none", "before", "tower", "language_model"])
@pytest.mark.parametrize("capture", [Capture(), Capture.nothing()], ids=["captured", "bare"])
def test_keeping_every_token_equals_generate_bit_for_bit(vlm, cat, place, capture):
    prepared = vlm.prepare(cat, PROMPT)
    plan = everywhere(prepared.asked.layout.n).get(place)
    logits, run = run_lane(vlm, prepared, plan, capture)
    reference = generate(vlm, prepared)
    written = reference.sequences[0, prepared.inputs["input_ids"].shape[1] :].tolist()
    assert run.lane.ids == written[: len(run.lane.ids)]
    for ours, theirs in zip(logits, reference.logits, strict=False):
        assert torch.equal(ours, theirs[0])


@pytest.mark.parametrize("keep", [1, 9, 20])
def test_removing_before_the_language_model_equals_masking(vlm, cat, keep):
    prepared = vlm.prepare(cat, PROMPT)
    layout = prepared.asked.layout
    kept = np.random.default_rng(keep).permutation(layout.n)[:keep]
    logits, run = run_lane(vlm, prepared, chosen(Reduction.select(kept, layout.n)))
    mask = torch.ones_like(prepared.inputs["input_ids"])
    mask[0, np.delete(layout.position, kept)] = 0
    with torch.inference_mode():
        masked = vlm.model(
            **{**prepared.inputs, "attention_mask": mask},
            position_ids=prepared.positions,
            use_cache=True,
        )
    assert torch.allclose(logits[0], masked.logits[0, -1], atol=1e-4)
    assert run.lane.length == len(prepared.asked.prompt_ids) - layout.n + keep


def masked_from_layer(vlm, prepared, dead, layer):
    """Prefill at full length, with `dead` rows hidden from every query from `layer` on."""
    rows = prepared.inputs["input_ids"].shape[1]
    mask = torch.zeros(1, 1, rows, rows)
    mask = mask.masked_fill(torch.triu(torch.ones(rows, rows, dtype=torch.bool), 1), -1e9)
    hidden = mask.clone()
    hidden[..., dead] = -1e9
    hidden[0, 0, dead, dead] = 0

    def hook(module, args, kwargs):
        return args, {**kwargs, "attention_mask": hidden}

    layers = vlm.family.decoder(vlm.model).layers
    handles = [one.register_forward_pre_hook(hook, with_kwargs=True) for one in layers[layer:]]
    try:
        with torch.inference_mode():
            return vlm.model(**prepared.inputs, position_ids=prepared.positions).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()


def test_removing_inside_the_language_model_equals_masking_from_that_layer(vlm, cat):
    prepared = vlm.prepare(cat, PROMPT)
    logits, run = run_lane(vlm, prepared, tokviz.plan("fastv", keep=12))
    (layer, done, _), *_ = run.lane.stages.done
    dead = np.delete(prepared.asked.layout.position, done.kept)
    reference = masked_from_layer(vlm, prepared, torch.as_tensor(dead), layer)
    assert torch.allclose(logits[0], reference, atol=1e-4)
    lengths = run.view.trace.kv_lengths if run.view.trace else None
    full = len(prepared.asked.prompt_ids)
    cached = [keys.keys.shape[-2] for keys in run.lane.cache.layers]
    assert cached[0] - cached[-1] == prepared.asked.layout.n - 12
    assert cached[layer - 1] >= full > cached[layer]
    assert lengths is None or list(lengths) == cached


def test_repacked_positions_equal_a_fresh_short_prompt(vlm, cat):
    prepared = vlm.prepare(cat, PROMPT)
    layout = prepared.asked.layout
    kept = np.arange(0, layout.n, 3)
    plan = Plan(
        (
            Step(
                "by hand", len(kept), reduction=Reduction.select(kept, layout.n), positions="repack"
            ),
        )
    )
    logits, _ = run_lane(vlm, prepared, plan)
    rows = np.sort(
        np.concatenate(
            [
                layout.position[kept],
                np.setdiff1d(np.arange(len(prepared.asked.prompt_ids)), layout.position),
            ]
        )
    )
    with torch.inference_mode():
        features = torch.cat(list(vlm.family.image_features(vlm.model, prepared.inputs)))[kept]
        short = vlm.model.generate(
            input_ids=prepared.inputs["input_ids"][:, rows],
            attention_mask=torch.ones(1, len(rows), dtype=torch.long),
            mm_encoder_outputs={"image": vlm.family.encoder_outputs(features)},
            max_new_tokens=NEW,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    for ours, theirs in zip(logits, short.logits, strict=False):
        assert torch.equal(ours, theirs[0])


@pytest.fixture
def every_third():
    """A method inside the language model whose choice depends on nothing."""

    def decide(signals, keep):
        return Reduction.select(np.arange(0, signals.n, 3)[:keep], signals.n)

    method(
        "every-third",
        title="Every third",
        place="language_model",
        needs=("llm_hidden",),
        schedule=lambda n, keep, layers: [Stage(1, keep + 4), Stage(2, keep)],
    )(decide)
    yield
    METHODS.remove("every-third")


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_cached_decoding_after_pruning_inside_equals_recomputation(vlm, cat, policy, every_third):
    """One long prefill over prompt and answer gives the logits of the second step again."""
    prepared = vlm.prepare(cat, PROMPT)
    logits, run = run_lane(vlm, prepared, tokviz.plan("every-third", keep=4, positions=policy))
    ids = torch.cat([prepared.inputs["input_ids"], torch.tensor([run.lane.ids[:2]])], 1)
    rows, position = ids.shape[1], torch.as_tensor(prepared.asked.layout.position).long()
    stages = DecoderStages(
        run.lane.decoder,
        run.plan.steps[0],
        list(run.lane.stages.stages.values()),
        position,
        rows,
        np.arange(len(position)),
        rows,
        vlm.family.head_weight(vlm.model),
    )
    lane = Lane(vlm.family, vlm.model, stages, torch.arange(rows)[None], Capture.nothing())
    with vlm.guarded():
        lane.prefill(ids, run.arrived.features)
    assert torch.allclose(lane.logits, logits[2], atol=1e-4)
    assert [len(done.position) for _, done, _ in stages.done] == [8, 3]


@pytest.mark.parametrize(("name", "keep"), [("fastv", 9), ("tome", 12), ("visionzip", 12)])
def test_the_model_is_untouched_afterwards(vlm, cat, name, keep):
    prepared = vlm.prepare(cat, PROMPT)
    modules = {key: id(module) for key, module in vlm.model.named_modules()}
    before, at_rest = generate(vlm, prepared).logits, hooks(vlm.model)
    vlm.answer(cat, PROMPT, tokviz.plan(name, keep=keep), NEW)
    assert {key: id(module) for key, module in vlm.model.named_modules()} == modules
    assert hooks(vlm.model) == at_rest
    for ours, theirs in zip(before, generate(vlm, prepared).logits, strict=True):
        assert torch.equal(ours, theirs)


def test_a_method_that_fails_leaves_no_hook_and_the_next_run_works(vlm, cat):
    plan = Plan((Step("fastv", 999),))
    with pytest.raises(tokviz.InputError, match="keep must be 1 to 36"):
        vlm.answer(cat, PROMPT, plan, NEW)
    assert not any(m._forward_pre_hooks for m in vlm.model.modules())
    assert vlm.answer(cat, PROMPT, None, NEW).t > 0
