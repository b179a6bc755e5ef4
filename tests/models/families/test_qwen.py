"""What only the Qwen-VL families have: windows, three rows of positions, features for more layers.

The promises and the geometry that hold for every family are in test_promises.py and
test_family_geometry.py.
"""

import itertools

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, AutoModelForImageTextToText
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

import tokviz
from tests.models.test_promises import PROMPT, masked_from_layer
from tokviz.capture import Capture
from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.attention import NAME, attention_forward
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.tower.vision import encode, image_signals
from tokviz.plans import Plan, Step, chosen
from tokviz.reduction import METHODS
from tokviz.testing.on_families import run_plan

pytestmark = pytest.mark.matrix

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="module", params=QWEN)
def qwen(request, checkpoint):
    """Each of the three in turn."""
    return tokviz.load(checkpoint(request.param))


@pytest.fixture(scope="module")
def qwen3(checkpoint):
    """The one with deepstack features."""
    return tokviz.load(checkpoint("qwen3_vl"))


# -- positions ------------------------------------------------------------------------------------


def test_positions_are_those_of_generate_whoever_asked_before(qwen, cat):
    tall = cat.resize((60, 200))
    mine = qwen.prepare([cat, tall], PROMPT)
    other = qwen.prepare(tall, "and this?")
    qwen.model.generate(**other.inputs, max_new_tokens=2, do_sample=False)
    again = qwen.prepare([cat, tall], PROMPT).positions
    expected = qwen.model._prepare_position_ids_for_generation(
        mine.inputs["input_ids"], dict(mine.inputs)
    )
    assert torch.equal(mine.positions, expected)
    assert torch.equal(again, expected)


def test_what_the_model_remembers_of_another_prompt_is_never_read(qwen, cat):
    plans = (None, tokviz.plan("divprune", keep=9), tokviz.plan("fastv", keep=9))
    before = [qwen.answer(cat, PROMPT, plan, 5)["answer_ids"].tolist() for plan in plans]
    qwen.model.model.rope_deltas = torch.tensor([[1234]])
    after = [qwen.answer(cat, PROMPT, plan, 5)["answer_ids"].tolist() for plan in plans]
    assert before == after
    assert qwen.model.model.rope_deltas.item() == 1234


def test_two_users_token_by_token_in_turn_get_their_own_answers(qwen, cat):
    questions = [(cat, "what is this?"), (cat.resize((50, 190)), "where?")]
    alone = [qwen.answer(*question, None, 5)["answer_ids"].tolist() for question in questions]
    streams = [qwen.stream(*question, max_new_tokens=5) for question in questions]
    last = [None, None]
    for views in itertools.zip_longest(*streams):
        last = [view or old for view, old in zip(views, last, strict=True)]
    assert [lanes[0].trace["answer_ids"].tolist() for lanes in last] == alone


@pytest.mark.parametrize("method", ["average_pool", "tome"])
def test_mean_positions_average_each_axis_and_leave_the_text_alone(qwen, cat, method):
    """LLaVolta averages positions; a window over the end of a row has no one middle token."""
    prepared = qwen.prepare(cat, PROMPT)
    plan = tokviz.plan(method, keep=prepared.asked.layout.n // 3, positions="mean")
    with qwen.guarded():
        shared = qwen.encode(prepared, [plan], Capture.nothing())
        made = make_prefill_input(qwen.family, qwen.model, prepared, shared, plan)
    own = prepared.positions[..., torch.as_tensor(prepared.asked.layout.position)].double()
    weights = torch.as_tensor(made.records[0].reduction.matrix()).double()
    want = (own @ (weights / weights.sum(1, keepdim=True)).T + 1e-6).floor().long()
    assert torch.equal(made.positions[..., made.stages.visual], want)
    text = np.setdiff1d(np.arange(len(made.prompt_rows.rows)), made.stages.visual)
    kept = prepared.positions[..., torch.as_tensor(made.prompt_rows.rows[text])]
    assert torch.equal(made.positions[..., torch.as_tensor(text)], kept)
    trace = qwen.answer(cat, PROMPT, plan, 2)
    assert trace.model["positions"] == ["mean"]


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_cached_decoding_after_pruning_inside_equals_recomputation(qwen, cat, policy, every_other):
    """One long prefill over prompt and answer gives the logits of the second step again."""
    prepared = qwen.prepare(cat, PROMPT)
    logits, run = run_plan(qwen, prepared, tokviz.plan("every-other", keep=4, positions=policy))
    ids = torch.cat([prepared.inputs["input_ids"], torch.tensor([run.lane.ids[:2]])], 1)
    later = prepared.positions[..., -1:] + torch.arange(1, 3)
    visual = torch.as_tensor(prepared.asked.layout.position).long()
    stages = DecoderStages(
        run.lane.decoder,
        run.plan.steps[0],
        list(run.lane.stages.stages.values()),
        visual,
        ids.shape[1],
        np.arange(len(visual)),
        ids.shape[1],
        qwen.family.head_weight(qwen.model),
    )
    positions = torch.cat([prepared.positions, later], -1)
    lane = Lane(qwen.family, qwen.model, stages, positions, Capture.nothing())
    with qwen.guarded():
        lane.prefill(ids, run.prefill_input.features)
    assert torch.allclose(lane.logits, logits[2], atol=1e-4)
    assert [len(done.position) for _, done, _ in stages.done] == [8, 4]


# -- the tower's attention ------------------------------------------------------------------------


def eager_maps(vlm, prepared):
    """What the library's eager attention has inside: per layer the maps of its calls, in order."""
    seen = {}

    def eager(module, query, key, value, attention_mask, **kwargs):
        given = (query, key, value, attention_mask)
        output, maps = eager_attention_forward(module, *given, **kwargs)
        seen.setdefault(id(module), []).append(maps[0])
        return output, None

    AttentionInterface.register(NAME, eager)
    try:
        with vlm.guarded():
            vlm.family.tower_outputs(vlm.model, prepared.inputs)
    finally:
        AttentionInterface.register(NAME, attention_forward)
    return [seen[id(block.attn)] for block in vlm.family.tower_layers(vlm.model)]


def windows_of(rows, cols, side):
    """Tokens of each window in raster order, as a picture is cut into squares by hand."""
    return [
        [r * cols + c for r in range(top, min(top + side, rows)) for c in range(left, right)]
        for top in range(0, rows, side)
        for left in range(0, cols, side)
        for right in [min(left + side, cols)]
    ]


def token_map(calls, windows, n):
    """[h, n, n]: mean over a query token's four patches, sum over a key token's four."""
    whole = torch.zeros(len(calls[0]), n, n)
    for maps, tokens in zip(calls, windows, strict=True):
        size = len(tokens)
        small = maps.reshape(-1, size, 4, size, 4).mean(2).sum(-1)
        whole[:, torch.tensor(tokens)[:, None], torch.tensor(tokens)] = small
    return whole


def test_tower_maps_equal_eager_ones_window_by_window(qwen, cat):
    pictures = [cat, cat.resize((70, 150))]
    prepared = qwen.prepare(pictures, PROMPT)
    layout = prepared.asked.layout
    eager = eager_maps(qwen, prepared)
    with qwen.guarded():
        wanted = dict.fromkeys(("full_attn", "recv_attn", "k"))
        vision = encode(qwen.family, qwen.model, prepared.inputs, layout, wanted, True)
    windowed = qwen.family.name == "qwen2_5_vl"
    for image, tile in enumerate(layout.tiles):
        tokens = np.flatnonzero(layout.image == image)
        signals = image_signals(vision, tokens, image)
        for layer, calls in enumerate(eager):
            windows = windows_of(tile.rows, tile.cols, 2 if windowed else 99)
            if layer == 2:  # sees all, in the order of the windows
                windows = [list(itertools.chain(*windows))]
            first = 0 if image == 0 else len(calls) - len(windows)
            expected = token_map(calls[first : first + len(windows)], windows, len(tokens))
            assert torch.allclose(signals["full_attn"][layer], expected, atol=1e-6)
            received = expected.mean((0, 1))
            assert torch.allclose(signals["recv_attn"][layer], received, atol=1e-6)
            assert signals["k"][layer].shape == (4, len(tokens), 8)


def test_the_trace_holds_received_attention_that_adds_up_to_one_per_image(qwen, cat):
    every = Capture(tower_layers=True)
    trace = qwen.answer([cat, cat.resize((70, 150))], PROMPT, None, 2, every)
    received = trace["received_attention"].astype(np.float32)
    assert received.shape == (4, trace.n)
    for image in (0, 1):
        total = received[:, trace.layout.image == image].sum(-1)
        assert np.abs(total - 1).max() < 5e-3
    assert "cls_attention" not in trace


def test_attention_of_the_answer_equals_eager_attentions(qwen, checkpoint, cat):
    trace = qwen.answer(cat, PROMPT, None, 4)
    model = AutoModelForImageTextToText.from_pretrained(
        checkpoint(qwen.family.name), attn_implementation="eager"
    )
    inputs = dict(qwen.prepare(cat, PROMPT).inputs)
    answer = torch.as_tensor(trace["answer_ids"])[None, :-1].long()
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    types = inputs["mm_token_type_ids"]
    inputs["mm_token_type_ids"] = torch.cat([types, torch.zeros_like(answer)], 1)
    with torch.inference_mode():
        output = model(**inputs, output_attentions=True)
    first = len(trace.prompt_tokens) - 1
    rows = torch.stack(output.attentions)[:, 0, :, first : first + trace.t]
    rows = rows.permute(2, 0, 1, 3)[..., trace.layout.position].numpy()
    assert rows.shape[2] == 6  # heads, over three of keys
    assert np.abs(trace["attention_heads"] - rows).max() < 1e-3


# -- features for more layers ---------------------------------------------------------------------


@pytest.mark.parametrize("layer", [1, 2])
def test_deepstack_features_leave_with_the_tokens_removed_inside(qwen3, cat, layer):
    """They are added behind layers 0 and 1: a removal at layer 1 comes between the two."""
    prepared = qwen3.prepare([cat, cat.resize((70, 150))], PROMPT)
    plan = tokviz.plan("fastv", keep=7, layer=layer)
    logits, run = run_plan(qwen3, prepared, plan)
    (at, done, _), *_ = run.lane.stages.done
    assert at == layer
    dead = torch.as_tensor(np.delete(prepared.asked.layout.position, done.kept))
    assert torch.allclose(logits[0], masked_from_layer(qwen3, prepared, dead, layer), atol=1e-4)
    assert "_deepstack_process" not in vars(qwen3.family.decoder(qwen3.model))


def test_deepstack_features_are_merged_like_the_tokens_they_belong_to(qwen3, cat):
    """Averaging two tokens before the model averages their features for later layers too."""
    prepared = qwen3.prepare(cat, PROMPT)
    n = prepared.asked.layout.n
    groups = np.arange(n) // 2
    mean = Reduction.from_entries(
        groups, np.arange(n), np.full(n, 0.5), n, n // 2, np.arange(0, n, 2)
    )
    logits, run = run_plan(qwen3, prepared, chosen(mean))
    entering = run.prefill_input.features
    whole = qwen3.encode(prepared, [None], Capture.nothing()).features
    assert len(entering.extra) == 2
    for ours, full in zip(entering.extra, whole.extra, strict=True):
        assert torch.allclose(ours, full.reshape(n // 2, 2, -1).mean(1), atol=1e-5)
    spoiled = type(entering)(entering.tokens, tuple(torch.zeros_like(e) for e in entering.extra))
    with torch.inference_mode():
        run.lane.cache.reset()
        plain = qwen3.model(
            input_ids=run.prefill_input.input_ids,
            position_ids=run.prefill_input.positions,
            attention_mask=torch.ones_like(run.prefill_input.input_ids),
            mm_encoder_outputs={"image": qwen3.family.encoder_outputs(spoiled)},
        ).logits[0, -1]
    assert not torch.allclose(logits[0], plain, atol=1e-3), "the features must matter"


def test_three_stages_and_a_choice_before_them_follow_the_same_tokens(qwen3, cat):
    prepared = qwen3.prepare(cat, PROMPT)
    n = prepared.asked.layout.n
    kept = np.arange(0, n, 2)
    plan = Plan(
        (Step("", len(kept), reduction=Reduction.select(kept, n)), Step("pyramiddrop", 5)),
    )
    logits, run = run_plan(qwen3, prepared, plan)
    assert len(run.lane.stages.done) >= 2
    assert torch.isfinite(logits[0]).all()


# -- what cannot be done, in words ----------------------------------------------------------------


def test_marks_of_the_prompt_format_cannot_be_typed(qwen, cat):
    with pytest.raises(tokviz.InputError):
        qwen.prepare(cat, "what is <|image_pad|> this?")


def test_loading_says_why_it_chose_device_and_number_type(qwen, checkpoint):
    assert qwen.reason == "float32: exact, and no slower on a CPU"
    assert not qwen.info["has_cls"]
    assert qwen.info["feature_layer"] == 3


@pytest.mark.weekly
def test_every_method_removes_for_real_or_says_why_it_cannot(checkpoint, cat):
    """There is no [CLS] token, and one image in one tile."""
    vlm = tokviz.load(checkpoint("qwen2_5_vl"))
    full = vlm.answer(cat, PROMPT, None, 1, Capture.nothing())
    said = {}
    for name in METHODS:
        try:
            trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=8), 1, Capture.nothing())
        except (MissingSignal, tokviz.InputError) as error:
            said[name] = str(error)
            continue
        assert trace.stages or METHODS[name].place == "picture", name
        fewer = trace.reduction.m < trace.n and not METHODS[name].unmerged_by
        if fewer and all(stage.removes for stage in trace.stages):
            assert trace.kv_lengths[-1] < full.kv_lengths[-1], name
    assert all(METHODS[name].title in sentence for name, sentence in said.items())
    frames = {name for name in METHODS if METHODS[name].frames}
    assert set(said) == {
        "dc2", "fastvggt", "ficoco_v", "globalcom2", "hired", "visiontrim", *frames,
    }  # fmt: skip


def test_the_fallback_for_the_cls_token_is_named(qwen, cat):
    trace = qwen.answer(cat, PROMPT, tokviz.plan("fastervlm", keep=8), 1)
    assert any("no [CLS] token: the mean attention" in note for note in trace.notes)
