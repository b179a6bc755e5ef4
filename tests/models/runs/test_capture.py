"""What is captured agrees with eager attention, and costs no full map."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlavaForConditionalGeneration

import tokviz
from tokviz.analysis.attention_rank import effective_rank
from tokviz.analysis.block_flow import block_mass
from tokviz.capture import COSTLY, Capture
from tokviz.models.runs.run import Run
from tokviz.trace.schema import SCHEMA

PROMPT = "what is this?"


@pytest.fixture(scope="module")
def trace(vlm, cat):
    return vlm.answer(cat, PROMPT, None, 6)


@pytest.fixture(scope="module")
def eager(vlm, folder, cat, trace):
    """One teacher-forced pass of a second, eager copy over prompt and answer."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    inputs = dict(vlm.prepare(cat, PROMPT).inputs)
    answer = torch.as_tensor(trace["answer_ids"])[None, :-1].long()
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
    inputs.pop("attention_mask", None)
    tower = model.model.vision_tower(inputs["pixel_values"], output_attentions=True)
    with torch.inference_mode():
        output = model(
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            output_attentions=True,
            output_hidden_states=True,
        )
    return model, output, tower


def chosen_rows(trace, output):
    """Eager attention of the rows that chose each answer token, [t, l, h, keys]."""
    first = len(trace.prompt_tokens) - 1
    maps = torch.stack(output.attentions)[:, 0]
    return maps[:, :, first : first + trace.t].permute(2, 0, 1, 3).numpy()


def test_attention_rows_equal_eager_attentions(trace, eager):
    rows = chosen_rows(trace, eager[1])[..., trace.layout.position]
    assert np.abs(trace["attention_heads"] - rows).max() < 1e-3  # stored in half precision
    assert np.abs(trace["attention"] - rows.mean(2)).max() < 1e-3


def test_attention_is_captured_to_float32_accuracy(vlm, cat, eager, trace):
    """Before it is stored in half precision; deeper layers add SDPA's own rounding."""
    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [None], Capture()), {}, None, Capture())
        run.start()
    rows = chosen_rows(trace, eager[1])
    for layer, (row,) in run.lane.attention.heads.items():
        difference = np.abs(row.numpy() - rows[0, layer, :, : row.shape[1]]).max()
        assert difference < (1e-6 if layer == 0 else 1e-5)


def test_single_heads_are_let_go_once_they_are_too_many_to_be_stored(vlm, cat, monkeypatch):
    """Means and masses stay, and are those of a run that keeps the heads."""
    monkeypatch.setattr(vlm.model.generation_config, "eos_token_id", None)
    full = vlm.answer(cat, PROMPT, max_new_tokens=4)
    token = full["attention_heads"][0].nbytes
    two = Capture(heads_mb=2 * token / 2**20)
    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [None], two), {}, None, two)
        run.start()
        kept = []
        for _ in range(4):
            run.lane.attention.close_waiting()
            kept.append(len(run.lane.attention.heads.get(0, ())))
            if len(run.tokens) < 4:
                run.step()
        run.finish("length")
    assert kept == [1, 2, 3, 0]
    trace = run.view.trace
    assert "attention_heads" not in trace
    for name in ("attention", "mass"):
        np.testing.assert_array_equal(trace[name], full[name])


def test_a_step_is_read_back_once(vlm, cat):
    """On a GPU each read waits for all that was asked of it before."""
    reads = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._schema.name in ("aten::item", "aten::_local_scalar_dense", "aten::all"):
                reads.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [None], Capture()), {}, None, Capture())
        run.start()
        with Counting():
            run.step()
    # the library asks whether the mask hides anything; what is written comes in one list
    assert reads.count("aten::all") <= 1
    assert len(reads) <= 2


def test_the_four_shares_of_attention_add_up_to_one(trace):
    assert np.abs(trace["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
    image = trace["attention_heads"].astype(np.float32).sum(-1)
    assert np.abs(trace["mass"][..., 1] - image).max() < 4e-3


def test_cls_attention_equals_eager_tower_attentions(trace, eager):
    maps = torch.stack(eager[2].attentions)[:, 0, :, 0, 1:].detach().numpy()
    assert np.abs(trace["cls_attention_heads"] - maps).max() < 1e-3


def test_readout_equals_the_columns_of_the_full_logits(trace, eager):
    logits = eager[1].logits[0, :, trace["readout_ids"].astype(int)].numpy()
    assert np.abs(trace["readout"] - logits[: len(trace["readout"])]).max() < 1e-3


def test_answer_probabilities_come_from_the_softmax(trace, eager):
    logits = eager[1].logits[0, len(trace.prompt_tokens) - 1 :]
    probability = logits.softmax(-1)[torch.arange(trace.t), trace["answer_ids"].astype(int)]
    assert np.allclose(trace["answer_prob"], probability.numpy(), atol=1e-4)
    assert (trace["candidate_ids"][:, 0] == trace["answer_ids"]).all()


@pytest.mark.parametrize(
    ("name", "keep"), [("fastervlm", 9), ("visionzip", 12), ("tome", 14), ("fastv", 9)]
)
def test_after_a_reduction_the_shares_still_add_up_and_pruned_tokens_get_none(vlm, cat, name, keep):
    trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=keep), 6)
    assert np.abs(trace["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
    image = trace["attention_heads"].astype(np.float32).sum(-1)
    assert np.abs(trace["mass"][..., 1] - image).max() < 4e-3
    gone = trace.reduction.group < 0
    assert not trace["attention"][:, -1][:, gone].any()
    assert trace.reduction.m == keep


def test_nothing_is_recorded_when_nothing_was_asked_for(vlm, cat):
    trace = vlm.answer(cat, PROMPT, None, 4, Capture.nothing())
    for name in ("attention", "mass", "readout", "cls_attention", "feature_norm", "sink_phi"):
        assert name not in trace


def test_the_cls_state_can_be_fed_as_one_more_token(vlm, cat):
    plain = vlm.answer(cat, PROMPT, tokviz.plan("visionzip", keep=12), 4)
    with_cls = vlm.answer(cat, PROMPT, tokviz.plan("visionzip", keep=12, cls_token=True), 4)
    assert with_cls.kv_lengths[0] - with_cls.t == plain.kv_lengths[0] - plain.t
    assert with_cls.reduction.m == 11
    assert np.abs(with_cls["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3


# -- what only Capture.everything() records ------------------------------------------------------


@pytest.fixture(scope="module")
def full(vlm, cat):
    return vlm.answer(cat, PROMPT, None, 6, Capture.everything())


@pytest.fixture(scope="module")
def blocks(full):
    block = np.full(len(full.prompt_tokens), 2)
    block[: full.layout.position[0]], block[full.layout.position] = 0, 1
    return block


LACKING = {"received_attention", "received_layers", "sink_dims", "sink_phi", "mark_rows"}
LACKING |= {"decode_sets"}
"""The tower has a [CLS], the model no sinks, nothing stands between the image's tokens, and no word
of the answer chooses tokens anew."""


def test_everything_declared_is_captured(full):
    assert set(SCHEMA) - set(full.arrays) <= LACKING


def test_what_costs_more_is_off_unless_asked_for(trace):
    assert not set(COSTLY) & set(trace.arrays)
    assert Capture.holding(["flow", "attention"]) == Capture(flow=True)


def test_flow_between_blocks_equals_sums_of_eager_maps(vlm, cat, full, blocks, eager):
    prepared = vlm.prepare(cat, PROMPT)
    wanted = Capture(flow=True)
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [None], wanted), {}, None, wanted)
        run.start()
    s = len(blocks)
    for layer, maps in enumerate(eager[1].attentions):
        expected = block_mass(maps[0, :, :s, :s].mean(0).numpy(), blocks)
        raw = run.lane.prompt_records.flow[layer].numpy()
        assert np.isnan(raw[3]).all()
        assert np.abs(raw - expected)[:3].max() < (2e-6 if layer == 0 else 1e-5)
        assert np.abs(full["flow"][layer] - expected[:4, :4])[:3].max() < 1e-3  # half precision


def test_states_of_layers_equal_eager_hidden_states(full, blocks, eager):
    for layer, hidden in enumerate(eager[1].hidden_states[:-1]):
        states = hidden[0, : len(blocks)].numpy()
        visual, text = states[blocks == 1], states[blocks != 1]
        expected = np.stack([visual.mean(0), text.mean(0)])
        assert np.abs(full["layer_means"][layer] - expected).max() < 1e-4
        rank = effective_rank(np.linalg.svd(visual, compute_uv=False))
        assert full["visual_rank"][layer] == pytest.approx(rank, rel=1e-4)


def test_last_states_and_their_likeness_equal_eager_ones(full, eager):
    states = eager[1].hidden_states[-1][0].numpy()
    s = len(full.prompt_tokens)
    assert np.abs(full["last_state"] - states[s - 1]).max() < 1e-4
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    expected = unit[s - 1 : s - 1 + full.t] @ unit[full.layout.position].T
    assert np.abs(full["state_similarity"] - expected).max() < 1e-3
    guess = eager[1].logits[0, int(full["own_rows"][0])].argmax(-1)
    assert full["own_guess"].tolist() == [int(guess), *[-1] * (len(full["own_rows"]) - 1)]


def test_the_lens_norms_once_and_reads_the_last_layer_as_the_model_does(full, eager):
    model, output, _ = eager
    head = model.get_output_embeddings().weight
    norm = model.model.get_decoder().norm
    n, layers = full.n, len(output.attentions)
    with torch.inference_mode():
        states = [norm(output.hidden_states[i + 1]) for i in range(layers - 1)]
        normed = torch.stack([*states, output.hidden_states[-1]])[:, 0]
        chance = (normed[:, full.layout.position.astype(int)] @ head.T).softmax(-1).numpy()
    assert full["lens_ids"].shape == (layers, n, 5)
    best = np.take_along_axis(chance, full["lens_ids"].astype(int), -1)
    assert np.abs(full["lens_prob"] - best).max() < 1e-3
    assert np.abs(best[..., 0] - chance.max(-1)).max() < 1e-4
    of_words = chance[:, :, full["readout_ids"].astype(int)]
    assert np.abs(full["lens_peak"] - of_words.max(0)).max() < 1e-3
    told = np.take_along_axis(of_words, full["lens_peak_layer"][None].astype(int), 0)[0]
    assert np.abs(told - of_words.max(0)).max() < 1e-4
    assert set(full["lens_ids"].ravel().tolist()) <= set(full.words)


def test_likeness_to_cls_equals_eager_tower_states(vlm, folder, cat, full):
    model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    pixels = vlm.prepare(cat, PROMPT).inputs["pixel_values"]
    with torch.inference_mode():
        hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[1:]
    for layer, states in enumerate(hidden):
        expected = torch.cosine_similarity(states[0, :1], states[0, 1:], -1).numpy()
        assert np.abs(full["cls_similarity"][layer] - expected).max() < 1e-3


def test_records_of_a_reduced_run_lie_on_the_tokens_that_were_there(vlm, cat):
    """FastV takes tokens out in layer 2: later layers know nothing of them."""
    plan = tokviz.plan("fastv", keep=9)
    reduced = vlm.answer(cat, PROMPT, plan, 3, Capture(lens=2, flow=True, states=True))
    gone = np.setdiff1d(np.arange(reduced.n), reduced.reduction.position)
    last = len(reduced["lens_prob"]) - 1
    assert (reduced["lens_prob"][0] > 0).all()
    assert not reduced["lens_prob"][last, gone].any()
    assert (reduced["lens_prob"][last, reduced.reduction.position] > 0).all()
    assert not reduced["state_similarity"][:, gone].any()
    assert np.abs(reduced["flow"][:, 2].astype(float).sum(-1) - 1).max() < 2e-3


def test_whole_maps_are_kept_only_where_a_method_looks(vlm, cat):
    """h n n numbers per layer: VFlowOpt reads one layer, so one is kept."""
    prepared = vlm.prepare([cat], "what is this?")
    for options, layers in (({}, {2}), ({"layer": 0}, {0})):
        plan = tokviz.plan("vflowopt", keep=9, **options)
        with vlm.guarded():
            vision = vlm.encode(prepared, [plan], Capture.nothing())
        assert set(vision.layers["full_attn"]) == layers
