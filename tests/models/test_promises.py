"""The three promises: keeping all changes nothing, removing equals masking, nothing stays."""

import threading

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.families.shared_keys import caching_layers, last_row_layers
from tokviz.plans import Plan, Step, chosen
from tokviz.testing.on_families import (
    check_generate,
    generated,
    hooks_of,
    layer_by_layer,
    plan_of,
    reference_of,
    run_plan,
    without,
)
from tokviz.testing.pictures import PROMPT, WORDS
from tokviz.trace.layout import NEWLINE, PATCH

NEW = WORDS
TEMPLATE = (
    "{% for m in messages %}Q: {% for c in m['content'] %}{% if c['type'] == 'image' %}MARK"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} A:"
)
UNTOUCHED = ["inside, attention edited", "before, by a backward pass", "tower, second image"]
ROPE = "rope_deltas"
COUNTS = ["1 image", "2 images in a chat", "3 images"]
PAIRS = {
    ("nowhere", 1),
    ("before", 3),
    ("tower", 1),
    ("tower", 2),
    ("language_model", 3),
    ("cache", 1),
}
"""Each place and each number of images at least once; one image in the tower cuts most tiles."""
WITH_TILES = (
    "aya_vision",
    "cohere2_vision",
    "idefics3",
    "internvl",
    "lfm2_vl",
    "llava_next",
    "llava_onevision",
    "minicpmv4_6",
    "ovis2",
    "smolvlm",
)


def pictures(cat, count):
    """One to three pictures, no two of one shape."""
    return [cat, cat.rotate(90, expand=True).resize((90, 200)), cat.resize((64, 64))][:count]


# -- on every family ------------------------------------------------------------------------------


@pytest.fixture
def asked(cat, monkeypatch):
    """(model, images, template) -> a question about so many images, ready for the model."""

    def ask(vlm, count, template=False):
        if template:
            mark = vlm.family.image_mark(vlm.processor)
            monkeypatch.setattr(vlm.processor, "chat_template", TEMPLATE.replace("MARK", mark))
        prepared = vlm.prepare(pictures(cat, count), PROMPT)
        layout = prepared.asked.layout
        assert set(layout.image.tolist()) == set(range(count))
        cut = WITH_TILES if count == 1 else set(WITH_TILES) - {"llava_onevision"}
        assert (len(layout.tiles) > count) == (vlm.family.name in cut)
        written = vlm.tokenizer.decode(prepared.asked.prompt_ids).rstrip("\n")  # PaliGemma's end
        assert written.endswith(f"{PROMPT} A:") == template
        return prepared

    return ask


def combinations():
    """Places x numbers of images: every family walks PAIRS; the rest waits for `make test-all`."""
    for place in ("nowhere", "before", "tower", "language_model", "cache"):
        for count, name in zip((1, 2, 3), COUNTS, strict=True):
            marks = () if (place, count) in PAIRS else pytest.mark.weekly
            yield pytest.param(place, count, count == 2, id=f"{place}-{name}", marks=marks)


@pytest.mark.parametrize(("place", "count", "template"), combinations())
def test_keeping_every_token_equals_generate_bit_for_bit(model, asked, place, count, template):
    prepared = asked(model, count, template)
    check_generate(model, prepared, plan_of(place, prepared.asked.layout.n))


def test_a_run_that_records_nothing_equals_generate_too(model, asked):
    check_generate(model, asked(model, 1), None, Capture.nothing())


@pytest.mark.parametrize(
    ("place", "count", "template"),
    [
        ("nowhere", 1, True),
        ("before", 2, False),
        ("tower", 3, False),
        ("language_model", 3, True),
    ],
)
def test_in_bfloat16_keeping_every_token_equals_generate(half_model, asked, place, count, template):
    prepared = asked(half_model, count, template)
    check_generate(half_model, prepared, plan_of(place, prepared.asked.layout.n))


@pytest.mark.parametrize(
    ("share", "count", "template"), [(0.02, 1, False), (0.5, 2, True), (0.5, 3, False)], ids=COUNTS
)
def test_removing_before_the_language_model_equals_masking(model, asked, share, count, template):
    prepared = asked(model, count, template)
    n = prepared.asked.layout.n
    kept = np.random.default_rng(count).permutation(n)[: max(1, int(share * n))]
    logits, run = run_plan(model, prepared, chosen(Reduction.select(kept, n)))
    assert torch.allclose(logits[0], without(model, prepared, kept), atol=1e-4)
    assert run.lane.length == len(prepared.asked.prompt_ids) - n + len(kept)


def without_from_layer(vlm, prepared, kept, layer):
    """The last row's logits when only the kept visual tokens enter `layer`: the reference."""
    if reference_of(vlm) != "masking":
        return layer_by_layer(vlm, prepared, {layer: np.sort(kept)})[-1]
    dead = np.delete(prepared.asked.layout.position, kept)
    return masked_from_layer(vlm, prepared, torch.as_tensor(dead), layer)


def masked_from_layer(vlm, prepared, dead, layer):
    """Prefill at full length, with `dead` rows hidden from every query from `layer` on."""
    rows = prepared.inputs["input_ids"].shape[1]
    causal = torch.ones(rows, rows, dtype=torch.bool).tril()[None, None]

    def hook(module, args, kwargs):
        given = kwargs.get("attention_mask")
        sees = (causal if given is None else given).clone()
        sees[..., dead] = False
        sees[0, 0, dead, dead] = True
        return args, {**kwargs, "attention_mask": sees}

    layers = vlm.family.decoder(vlm.model).layers
    handles = [one.register_forward_pre_hook(hook, with_kwargs=True) for one in layers[layer:]]
    try:
        with vlm.guarded():
            return vlm.model(**prepared.inputs, position_ids=prepared.positions).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("count", "template"), [(1, False), (2, True), (3, False)], ids=COUNTS)
def test_removing_inside_the_language_model_equals_masking_from_that_layer(
    model, asked, count, template
):
    prepared = asked(model, count, template)
    logits, run = run_plan(model, prepared, tokviz.plan("fastv", keep=12, positions="keep"))
    (layer, done, _), *_ = run.lane.stages.done
    reference = without_from_layer(model, prepared, done.kept, layer)
    assert torch.allclose(logits[0], reference, atol=1e-4)
    full = len(prepared.asked.prompt_ids)
    attending = caching_layers(run.lane.decoder)
    cached = {i: run.lane.cache.layers[i].get_seq_length() for i in attending}
    assert cached[attending[0]] - cached[attending[-1]] == prepared.asked.layout.n - 12
    assert all((length >= full) == (i < layer) for i, length in cached.items())
    held = {i: run.lane.cache.layers[i].keys.shape[-2] for i in attending}
    for one, window in sliding_layers(run.lane.decoder).items():
        cached[one] = min(cached[one], window - 1)
    assert held == cached


@pytest.mark.parametrize("place", ["before", "language_model"])
def test_in_bfloat16_removing_equals_masking_within_its_rounding(half_model, asked, place):
    """Inside the tower: see test_tower.py."""
    prepared = asked(half_model, 2, template=True)
    n = prepared.asked.layout.n
    if place == "before":
        kept = np.arange(0, n, 2)
        logits, _ = run_plan(half_model, prepared, chosen(Reduction.select(kept, n)))
        reference = without(half_model, prepared, kept)
    else:
        plan = tokviz.plan("fastv", keep=12, positions="keep")
        logits, run = run_plan(half_model, prepared, plan)
        (layer, done, _), *_ = run.lane.stages.done
        reference = without_from_layer(half_model, prepared, done.kept, layer).float()
    assert (logits[0] - reference).abs().max() < 0.1 * reference.std()


def plans_that_leave_nothing(name):
    """One plan per place, each with a further pass of the model: edited, contrasted, backward."""
    return {
        "inside, attention edited": tokviz.plan("fastv", keep=20).mitigated("pai"),
        "before, by a backward pass": tokviz.plan("relevance", keep=20),
        "tower, second image": tokviz.plan("tome", keep=20).mitigated("vcd"),
    }[name]


def answered_or_refused(model, image, plan, new):
    """Answer; None where the plan follows maps of the prompt through layers that have none, or acts
    in a tower without layers.
    """
    decoder = model.family.decoder(model.model)
    if plan.steps[0].method == "tome" and not model.info["tower_layers"]:
        with pytest.raises(tokviz.InputError, match="it has no layers of tokens"):
            model.answer(image, PROMPT, plan, new)
        return None
    hybrid = layers_without_attention(decoder) or last_row_layers(decoder)
    if not hybrid or plan.steps[0].method != "relevance":
        return model.answer(image, PROMPT, plan, new)
    with pytest.raises(tokviz.MissingSignal, match=r"layer \d+ (is .*: it has no|computes only)"):
        model.answer(image, PROMPT, plan, new)
    return None


@pytest.mark.parametrize("name", UNTOUCHED)
def test_the_model_is_untouched_afterwards(model, cat, name):
    prepared = model.prepare(cat, PROMPT)
    modules = {key: id(module) for key, module in model.model.named_modules()}
    before, at_rest = generated(model, prepared).logits, hooks_of(model)
    state = {key: value.clone() for key, value in vars(model.model.model).items() if key == ROPE}
    trained = [p.requires_grad for p in model.model.parameters()]
    answered_or_refused(model, cat, plans_that_leave_nothing(name), NEW)
    assert {key: id(module) for key, module in model.model.named_modules()} == modules
    assert hooks_of(model) == at_rest
    assert all(torch.equal(vars(model.model.model)[key], value) for key, value in state.items())
    assert [p.requires_grad for p in model.model.parameters()] == trained
    assert not any(p.grad is not None for p in model.model.parameters())
    for ours, theirs in zip(before, generated(model, prepared).logits, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["idefics3", "llava", "qwen2_5_vl"])
def test_the_hooks_that_stay_on_the_tower_are_those_of_plain_transformers(checkpoint, cat, name):
    """Its first forward installs recorders for output_attentions; our runs add none to them."""
    ours, plain = (tokviz.load(checkpoint(name)) for _ in range(2))
    ours.answer(cat, PROMPT, tokviz.plan("tome", keep=20).then(tokviz.plan("fastv", keep=9)), 2)
    generated(plain, plain.prepare(cat, PROMPT))
    left, known = (
        {key: [hook.__qualname__ for hook in module._forward_hooks.values()] for key, module in own}
        for own in (list(vlm.model.named_modules()) for vlm in (ours, plain))
    )
    assert left == known
    assert not any(module._forward_pre_hooks for module in ours.model.modules())


def test_a_method_before_the_model_keeps_the_budget_and_the_newlines_of_rows_that_are_left(
    model, cat
):
    trace = model.answer(pictures(cat, 2), PROMPT, tokviz.plan("divprune", keep=10), 3)
    layout, kept = trace.layout, trace.reduction.kept
    patches = kept[layout.kind[kept] == PATCH]
    assert len(patches) == 10
    roles = np.array([layout.tiles[tile].role for tile in layout.tile])
    heights = {(layout.image[i], roles[i], layout.box[i, 1]) for i in patches}
    newlines = np.flatnonzero(layout.kind == NEWLINE)
    ends = [(layout.image[i], roles[i - 1], layout.box[i - 1, 1]) for i in newlines]
    stay = [i for i, end in zip(newlines, ends, strict=True) if end in heights]
    assert kept[layout.kind[kept] == NEWLINE].tolist() == stay


def test_users_in_three_threads_never_change_each_others_answers(model, cat):
    shown = [pictures(cat, 1), pictures(cat, 2), pictures(cat, 3)[2:]]
    plans = [None, tokviz.plan("fastv", keep=5), tokviz.plan("divprune", keep=7)]
    alone = [model.answer(p, PROMPT, q, 4) for p, q in zip(shown, plans, strict=True)]
    wrong = []

    def user(i):
        for _ in range(2):
            *_, views = model.stream(shown[i], PROMPT, [plans[i]], 4)
            same = (
                np.array_equal(views[0].trace[name], alone[i][name], equal_nan=True)
                for name in ("answer_ids", "answer_prob", "attention")
            )
            if not all(same):
                wrong.append(i)

    threads = [threading.Thread(target=user, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- on LLaVA, whose 36 tokens fit in the head ----------------------------------------------------


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
    logits, _ = run_plan(vlm, prepared, plan)
    rows = np.sort(
        np.concatenate(
            [
                layout.position[kept],
                np.setdiff1d(np.arange(len(prepared.asked.prompt_ids)), layout.position),
            ]
        )
    )
    with torch.inference_mode():
        features = vlm.family.image_features(vlm.model, prepared.inputs).tokens[kept]
        short = vlm.model.generate(
            input_ids=prepared.inputs["input_ids"][:, rows],
            attention_mask=torch.ones(1, len(rows), dtype=torch.long),
            mm_encoder_outputs={"image": vlm.family.encoder_outputs(Features(features))},
            max_new_tokens=NEW,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    for ours, theirs in zip(logits, short.logits, strict=False):
        assert torch.equal(ours, theirs[0])


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_cached_decoding_after_pruning_inside_equals_recomputation(vlm, cat, policy, every_third):
    """One long prefill over prompt and answer gives the logits of the second step again."""
    prepared = vlm.prepare(cat, PROMPT)
    logits, run = run_plan(vlm, prepared, tokviz.plan("every-third", keep=4, positions=policy))
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
        lane.prefill(ids, run.prefill_input.features)
    assert torch.allclose(lane.logits, logits[2], atol=1e-4)
    assert [len(done.position) for _, done, _ in stages.done] == [8, 3]


def test_a_method_that_fails_leaves_no_hook_and_the_next_run_works(vlm, cat):
    plan = Plan((Step("fastv", 999),))
    with pytest.raises(tokviz.InputError, match="keep must be 1 to 36"):
        vlm.answer(cat, PROMPT, plan, NEW)
    assert not any(m._forward_pre_hooks for m in vlm.model.modules())
    assert vlm.answer(cat, PROMPT, None, NEW).t > 0
