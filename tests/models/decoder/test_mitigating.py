"""Mitigations in the engine: neutral values change nothing, edits and second runs are real."""

import time

import numpy as np
import pytest
import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

import tokviz
from tokviz.capture import Capture
from tokviz.mitigation import MITIGATIONS, AttentionEdit, Recipe, mitigation
from tokviz.mitigation.avisc import not_blind
from tokviz.mitigation.cai import CAPTIONS
from tokviz.mitigation.contrasting import subtract
from tokviz.mitigation.memvr import with_picture
from tokviz.mitigation.middle_heads import agreed
from tokviz.mitigation.pai import guided, raised
from tokviz.mitigation.vcd import noised
from tokviz.mitigation.yopo_heads import cut_off, head_ratio
from tokviz.models.runs.run import Run
from tokviz.models.runs.same_tokens import last_row_attention
from tokviz.plans import Plan, plan

PROMPT = "what is this?"
NEW = 5
PAUSE_S = 0.2
NEUTRAL = {
    "avisc": {"alpha": 0},
    "blind": {"share": 0},
    "cai": {"alpha": 0},
    "cmai": {"share": 0},
    "damro": {"alpha": 0},
    "hip": {"keys": 4096},
    "m3id": {"alpha": 0},
    "memvr": {"ratio": 0},
    "middle_heads": {"alpha": 0},
    "opera": {},
    "pai": {"alpha": 0, "gamma": 1},
    "sid": {"alpha": 0},
    "vasparse": {"alpha": 0},
    "vcd": {"alpha": 0},
    "yopo_heads": {"threshold": 0},
}
"""Values at which a mitigation is to leave the answer alone; VAR needs sinks and is below."""


def lane_logits(vlm, prepared, chosen=None, capture=None, new=NEW):
    """Run one plan; return the logits of every step and the finished run."""
    capture = capture or Capture.nothing()
    with vlm.guarded():
        shared = vlm.encode(prepared, [chosen], capture)
        run = Run(vlm, prepared, shared, {}, chosen, capture)
        run.stops = set()
        run.start()
        logits = [run.lane.logits]
        while len(run.lane.ids) < new:
            run.step()
            logits.append(run.lane.logits)
    return logits, run


@pytest.fixture(scope="module")
def prepared(vlm, cat):
    return vlm.prepare(cat, PROMPT)


@pytest.fixture(scope="module")
def plain(vlm, prepared):
    return lane_logits(vlm, prepared)[0]


@pytest.fixture
def sinks(vlm, monkeypatch):
    """A random model has no sink dimensions: two are named, and a low threshold finds sinks."""
    monkeypatch.setattr(vlm, "found_sink_dims", (5, 7))


def layout_of(question):
    """The rows of the visual tokens in a prompt."""
    return question.asked.layout.position.astype("int64")


def differ(ours, theirs):
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_neutral_values_leave_the_answer_alone_to_the_bit(vlm, prepared, plain, name):
    assert {*NEUTRAL, "var"} == set(MITIGATIONS), "give a new mitigation its neutral values"
    ours, _ = lane_logits(vlm, prepared, plan(mitigation=name, **NEUTRAL[name]))
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


def test_var_with_p_1_is_the_plain_answer_through_the_edited_path(vlm, prepared, plain, sinks):
    options = {"tau": 1.5, "least_mass": 0, "rho": 1}
    ours, run = lane_logits(vlm, prepared, plan(mitigation="var", p=1, **options))
    assert run.lane.editing.measured["edited_rows"] == run.lane.editing.measured["rows"] > 0
    assert differ(ours, plain) < 1e-4
    moved, _ = lane_logits(vlm, prepared, plan(mitigation="var", p=0.2, **options))
    assert differ(moved, plain) > 1e-2


@pytest.mark.parametrize("name", sorted(set(NEUTRAL) - {"opera", "yopo_heads"}))
def test_the_defaults_do_something(vlm, prepared, plain, name):
    loud = {
        "hip": {"keys": 8, "first_layer": 0},
        "m3id": {"decay": 1.0, "alpha": 1.0},
        "memvr": {"first_layer": 0, "last_layer": 200, "threshold": 0.0, "ratio": 0.5},
        "middle_heads": {"first_layer": 0, "last_layer": 200},
        "cai": {"alpha": 5.0, "heads": 1.0},
    }
    options = loud.get(name, {})
    ours, _ = lane_logits(vlm, prepared, plan(mitigation=name, **options))
    assert differ(ours, plain) > 1e-3


# -- the edit against a full eager map ------------------------------------------------------------


@pytest.fixture
def eager(vlm):
    """Switch the model to a full-map attention with a given change of logits into weights."""

    def install(change):
        def attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
            groups = query.shape[1] // key.shape[1]
            key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
            logits = query @ key.transpose(-1, -2) * scaling + attention_mask[..., : key.shape[2]]
            weights = change(logits[0], module.layer_idx)[None]
            return (weights @ value).transpose(1, 2), weights

        AttentionInterface.register("oracle", attend)
        AttentionMaskInterface.register("oracle", eager_mask)
        vlm.family.decoder(vlm.model).set_attn_implementation("oracle")

    yield install
    vlm.family.decoder(vlm.model).set_attn_implementation("tokviz")


def generated(vlm, prepared):
    """Logits of every step of generate()."""
    with torch.inference_mode():
        return [
            step[0]
            for step in vlm.model.generate(
                **prepared.inputs, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                return_dict_in_generate=True, output_logits=True,
            ).logits
        ]  # fmt: skip


def image_columns(prepared, keys):
    columns = torch.zeros(keys, dtype=torch.bool)
    columns[torch.as_tensor(prepared.asked.layout.position).long()] = True
    return columns


def test_pai_is_what_a_full_eager_map_gives(vlm, prepared, eager):
    def change(logits, layer):
        edited = logits.clone()
        if layer >= 2:
            image = image_columns(prepared, logits.shape[-1])
            edited[:, -1] = raised(logits[:, -1], image, 0.6)
        return edited.softmax(-1)

    ours, _ = lane_logits(vlm, prepared, plan(mitigation="pai", alpha=0.6, gamma=1))
    eager(change)
    assert differ(ours, generated(vlm, prepared)) < 1e-4


def test_yopo_is_what_a_full_eager_map_gives(vlm, prepared, eager):
    cut = {}

    def change(logits, layer):
        weights, keys = logits.softmax(-1), logits.shape[-1]
        if layer < 2:
            return weights
        image, prefill = image_columns(prepared, keys), logits.shape[1] > 1
        if prefill:
            after = int(image.nonzero()[-1]) + 1
            cut[layer] = head_ratio(weights[:, after:], image) <= 0.6
        visual = image if prefill else torch.zeros(1, dtype=torch.bool)
        return cut_off(weights, cut[layer], image, visual)

    ours, run = lane_logits(vlm, prepared, plan(mitigation="yopo_heads", threshold=0.6))
    assert 0 < run.lane.editing.measured["cut_heads"] < run.lane.editing.measured["heads"] == 12
    eager(change)
    assert differ(ours, generated(vlm, prepared)) < 1e-4


# -- the second run against recomputation ---------------------------------------------------------


def recomputed(vlm, inputs, answer):
    """Logits after a prompt and the first tokens of an answer, read in one go without a cache."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer], dtype=torch.long)], 1)
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        return vlm.model(**{**inputs, "input_ids": ids, "attention_mask": mask}).logits[0, -1]


def checked_steps(run, logits, combine, own, other):
    """Compare every combined step with the two recomputed ones."""
    for step, ours in enumerate(logits[:-1]):
        answer = run.lane.ids[:step]
        theirs = combine(own(answer), other(answer), step + 1)
        assert torch.equal(ours.isinf(), theirs.isinf())
        seen = ~theirs.isinf()
        torch.testing.assert_close(ours[seen], theirs[seen], atol=2e-4, rtol=1e-4)


def test_middle_heads_is_what_a_full_eager_map_gives(vlm, prepared, eager):
    options = {"alpha": 0.8, "first_layer": 1, "last_layer": 2}
    logits, run = lane_logits(vlm, prepared, plan(mitigation="middle_heads", **options))

    def change(maps, layer):
        image = image_columns(prepared, maps.shape[-1])
        maps = maps.clone()
        if 1 <= layer <= 2:
            maps[:, -1:] = agreed(maps[:, -1:], image, 0.8)
        return maps.softmax(-1)

    eager(change)
    assert differ(logits, generated(vlm, prepared)) < 2e-4
    assert run.lane.editing.edited <= {1, 2}


def test_sid_hides_all_but_the_least_attended(vlm, prepared, eager):
    _, run = lane_logits(vlm, prepared, plan(mitigation="sid", layer=1, count=5), new=1)
    image, seen = image_columns(prepared, len(prepared.asked.prompt_ids)), {}

    def change(maps, layer):
        if maps.shape[-1] != len(image):  # a later word of generate(), which is not compared
            return maps.softmax(-1)
        if layer == 0:
            weights = maps[:, -1].softmax(-1).mean(0)
            weights[~image] = 9
            seen["hidden"] = image.clone()
            seen["hidden"][weights.argsort()[:5]] = False
            return maps.softmax(-1)
        return maps.masked_fill(seen["hidden"], -1e30).softmax(-1)

    eager(change)
    theirs = generated(vlm, prepared)[0]
    torch.testing.assert_close(run.contrast.lane.logits, theirs, atol=2e-4, rtol=1e-4)


def test_avisc_reads_the_prompt_again_with_zeros(vlm, prepared):
    _, run = lane_logits(vlm, prepared, plan(mitigation="avisc"), new=1)
    features = run.prefill_input.features
    with vlm.guarded():
        away = not_blind(last_row_attention(vlm, run.prefill_input), 0.5, 0.99)
    assert 0 < int(away.sum()) < len(away)
    inputs = {name: value for name, value in prepared.inputs.items() if name != "pixel_values"}
    with torch.inference_mode():
        output = vlm.model.get_image_features(prepared.inputs["pixel_values"])
        output.pooler_output = [features.tokens * ~away[:, None]]
        theirs = vlm.model(**inputs, mm_encoder_outputs={"image": output}).logits[0, -1]
    torch.testing.assert_close(run.contrast.lane.logits, theirs, atol=2e-4, rtol=1e-4)


def test_memvr_changes_one_mlp_of_an_uncertain_forward(vlm, prepared):
    options = {"first_layer": 0, "last_layer": 200, "threshold": 0.0, "ratio": 0.3}
    logits, run = lane_logits(vlm, prepared, plan(mitigation="memvr", **options), new=1)
    tokens, changed = run.prefill_input.features.tokens, run.lane.changing.changed
    assert changed == [2]
    mlp = vlm.family.decoder(vlm.model).layers[2].mlp
    handle = mlp.register_forward_hook(
        lambda module, args, output: with_picture(args[0], output, tokens, 0.3)
    )
    try:
        theirs = generated(vlm, prepared)[0]
    finally:
        handle.remove()
    torch.testing.assert_close(logits[0], theirs, atol=2e-4, rtol=1e-4)
    sure, _ = lane_logits(
        vlm, prepared, plan(mitigation="memvr", **{**options, "threshold": 1.0}), new=1
    )
    assert not torch.allclose(sure[0], logits[0])


def test_cai_adds_the_difference_of_both_prompts_to_the_heads_that_look_more(vlm, prepared, cat):
    options = {"alpha": 0.5, "heads": 0.25, "caption": "plain"}
    caption = CAPTIONS["plain"]
    ours, run = lane_logits(vlm, prepared, plan(mitigation="cai", **options), new=1)
    layers = vlm.family.decoder(vlm.model).layers
    rows = [torch.as_tensor(layout_of(one)) for one in (vlm.prepare(cat, caption), prepared)]
    seen = []
    for one, visual in zip((vlm.prepare(cat, caption), prepared), rows, strict=True):
        joined = []
        handles = [
            layer.self_attn.o_proj.register_forward_pre_hook(
                lambda module, args, joined=joined: joined.append(args[0][0, -1])
            )
            for layer in layers
        ]
        vlm.model.set_attn_implementation("eager")
        inputs = {**one.inputs, "position_ids": one.positions}
        with torch.no_grad():
            maps = vlm.model(**inputs, output_attentions=True).attentions
        vlm.model.set_attn_implementation("sdpa")
        for handle in handles:
            handle.remove()
        looks = torch.stack([each[0, :, -1, visual].sum(-1) for each in maps])
        seen.append((torch.stack(joined), looks))
    more = seen[0][1] - seen[1][1]
    best = more.flatten().topk(max(round(0.25 * more.numel()), 1)).indices
    picked = torch.zeros(more.numel(), dtype=torch.bool)
    picked[best] = True
    picked = (picked & (more.flatten() > 0)).view(more.shape)
    assert picked.any()
    shift = (seen[0][0] - seen[1][0]).view(*more.shape, -1) * picked[..., None] * 0.5
    found = torch.stack([run.lane.changing.vectors[i] for i in range(len(layers))])
    assert torch.allclose(found, shift, atol=1e-5)
    # the same by hand: o_proj of the last row gets the vectors
    handles = [
        layer.self_attn.o_proj.register_forward_pre_hook(
            lambda module, args, extra=extra: (
                torch.cat([args[0][:, :-1], args[0][:, -1:] + extra.flatten()], 1),
            )
        )
        for layer, extra in zip(layers, shift, strict=True)
    ]
    with torch.no_grad():
        logits = vlm.model(**prepared.inputs).logits[0, -1]
    for handle in handles:
        handle.remove()
    assert torch.allclose(ours[0], logits, atol=1e-4)


def test_vcd_contrasts_with_the_noised_image(vlm, prepared):
    other = {**prepared.inputs, "pixel_values": noised(prepared.inputs["pixel_values"], 700, 3)}
    logits, run = lane_logits(
        vlm, prepared, plan(mitigation="vcd", alpha=0.7, noise_step=700, seed=3)
    )
    checked_steps(
        run, logits, lambda z, y, step: subtract(z, y, 0.7, 0.1),
        lambda answer: recomputed(vlm, prepared.inputs, answer),
        lambda answer: recomputed(vlm, other, answer),
    )  # fmt: skip


def test_pai_contrasts_with_the_text_alone_which_is_not_edited(vlm, prepared):
    ids = prepared.inputs["input_ids"]
    alone = {"input_ids": ids[ids != 4][None]}
    edited, _ = lane_logits(vlm, prepared, plan(mitigation="pai", alpha=0.5, gamma=1), new=1)
    logits, run = lane_logits(vlm, prepared, plan(mitigation="pai", alpha=0.5, gamma=1.5))
    text = recomputed(vlm, alone, [])
    torch.testing.assert_close(logits[0], guided(edited[0], text, 1.5), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(
        run.contrast.lane.logits, recomputed(vlm, alone, run.lane.ids[:-1]), atol=2e-4, rtol=1e-4
    )


def test_damro_contrasts_with_the_outlier_tokens_alone(vlm, prepared):
    logits, run = lane_logits(vlm, prepared, plan(mitigation="damro", alpha=0.5, top=4))
    lane = run.contrast.lane
    assert lane.length == len(prepared.asked.prompt_ids) - 36 + 4
    assert lane.positions.tolist() == [list(range(lane.length))]
    layers = run.shared.layers
    query, keys = layers["q"][2][0], layers["k"][2][0]
    score = torch.einsum("hd,hnd->n", query[:, 0], keys)[1:]
    assert lane.stages.index.tolist() == sorted(score.topk(4).indices.tolist())
    with pytest.raises(tokviz.InputError, match="9 tokens for the contrast, but only 9 visual"):
        lane_logits(vlm, prepared, plan("fastervlm", keep=9, mitigation="damro"))


def test_vasparse_subtracts_the_embedding_of_the_last_word(vlm, prepared):
    """At every token of an answer, with and without the second contrast of the official code."""
    inputs = prepared.inputs
    embed, head = vlm.model.get_input_embeddings(), vlm.model.get_output_embeddings()
    for second in (False, True):
        options = {"alpha": 0.3, "second_contrast": second}
        logits, run = lane_logits(vlm, prepared, plan(mitigation="vasparse", **options))
        ids = inputs["input_ids"]
        for step, made in enumerate(logits):
            whole = torch.cat([ids, torch.tensor([run.lane.ids[:step]], dtype=torch.long)], 1)
            with torch.no_grad():
                own = vlm.model(**{**inputs, "input_ids": whole, "attention_mask": None}).logits
                early = head(embed(whole[0, -1]))
            own = own[0, -1]
            if second:
                far = own.softmax(-1) < 0.1 * own.softmax(-1).max()
                own = (own.log_softmax(-1) - early.log_softmax(-1)).masked_fill(far, -torch.inf)
            torch.testing.assert_close(made, own - 0.3 * early, atol=1e-4, rtol=1e-4)


# -- with reduction -------------------------------------------------------------------------------


@pytest.fixture
def columns():
    """A mitigation that changes nothing and notes how many visual columns each layer has."""
    seen = {}

    def change(logits, place):
        seen.setdefault(place.layer, []).append((int(place.image.sum()), int(place.answer.sum())))
        return logits.softmax(-1)

    @mitigation("columns", title="Columns", kinds=("attention",))
    def columns(*, rows: str = "all") -> Recipe:
        """Note columns."""
        return Recipe(AttentionEdit(change, rows=rows, first_layer=0))

    yield seen
    MITIGATIONS.remove("columns")


@pytest.mark.parametrize("rows", ["last", "after_image", "all"])
def test_an_edit_that_gives_the_softmax_back_changes_nothing(vlm, prepared, plain, columns, rows):
    ours, _ = lane_logits(vlm, prepared, plan(mitigation="columns", rows=rows))
    assert differ(ours, plain) < 1e-4
    assert columns[3] == [(36, written) for written in range(NEW)]


@pytest.mark.parametrize(
    ("name", "keep", "first", "last"),
    [("fastervlm", 9, 9, 9), ("tome", 12, 12, 12), ("fastv", 12, 36, 12), ("yopo", 12, 36, 36)],
)
def test_edits_see_what_is_left_in_each_layer(vlm, prepared, columns, name, keep, first, last):
    alone, _ = lane_logits(vlm, prepared, plan(name, keep=keep))
    ours, _ = lane_logits(vlm, prepared, plan(name, keep=keep).mitigated("columns"))
    assert differ(ours, alone) < 1e-4
    assert columns[0][0][0] == first
    assert {count for count, _ in columns[3]} == {last}


def test_sinks_that_were_pruned_are_gone_and_the_others_still_give(vlm, prepared, sinks):
    chosen = plan("fastervlm", keep=9).mitigated("var", tau=1.5, least_mass=0, rho=1)
    logits, run = lane_logits(vlm, prepared, chosen, Capture(tower=False))
    assert all(step.isfinite().all() for step in logits)
    for memory in run.lane.editing.memory.values():
        assert len(memory["sinks"]) == run.lane.length
    run.lane.attention.close_waiting()
    sums = torch.cat(run.lane.attention.mass[3], 1).sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("name", ["pai", "vcd", "cmai"])
@pytest.mark.parametrize("method", ["gemfilter", "p_mod", "tidaldecode", "vtc_cls"])
def test_every_effect_of_a_reduction_combines(vlm, prepared, method, name):
    chosen = plan(method, keep=12).mitigated(name)
    logits, run = lane_logits(vlm, prepared, chosen)
    assert not any(step.isnan().any() for step in logits)
    assert len(run.lane.ids) == NEW


# -- as a lane ------------------------------------------------------------------------------------


def test_it_streams_beside_other_lanes_and_is_in_the_trace(vlm, cat):
    lanes = [None, plan("fastervlm", keep=9, mitigation="pai")]
    *_, (full, edited) = vlm.stream(cat, PROMPT, lanes, NEW)
    assert full.trace.answer == vlm.answer(cat, PROMPT, None, NEW).answer
    assert edited.label == "FasterVLM, 9 tokens with PAI"
    assert full.trace.mitigation is None
    record = edited.trace.mitigation
    assert (record.name, record.kinds, record.verified) == ("pai", ("attention", "contrast"), True)
    assert record.options == {"alpha": 0.2, "gamma": 1.1, "first_layer": 2}
    timings = edited.trace.timings
    assert 0 < timings["contrast"] < timings["total"]
    again = tokviz.open_trace(edited.trace.to_bytes())
    assert again.mitigation == record
    assert again.kv_bytes == edited.kv_bytes


@pytest.fixture
def slow_tower(vlm):
    """Every run of the vision tower takes at least PAUSE_S longer."""
    first = vlm.family.tower_layers(vlm.model)[0]
    handle = first.register_forward_pre_hook(lambda module, given: time.sleep(PAUSE_S))
    yield
    handle.remove()


def test_the_first_token_waits_for_the_tower(vlm, cat, slow_tower):
    times = vlm.answer(cat, PROMPT, None, 2).timings
    assert times["encode"] >= PAUSE_S
    before_it = times["encode"] + times["decide"] + times["prefill"]
    assert times["first_token"] == pytest.approx(before_it, abs=1e-6)


def test_the_first_token_waits_for_the_contrasted_prompt_too(vlm, cat, slow_tower):
    """VCD sends a noised image through the tower before the first word can be combined."""
    times = vlm.answer(cat, PROMPT, plan(mitigation="vcd"), 2).timings
    own = times["encode"] + times["decide"] + times["prefill"]
    assert times["first_token"] - own >= PAUSE_S
    assert times["total"] == pytest.approx(own + times["decode"] + times["contrast"], abs=1e-6)


def test_the_trace_shows_the_edited_attention(vlm, cat):
    edited = vlm.answer(cat, PROMPT, plan(mitigation="pai", alpha=1, gamma=1), 1)
    plain = vlm.answer(cat, PROMPT, None, 1)
    looked, before = (trace["mass"].astype(np.float32) for trace in (edited, plain))
    np.testing.assert_array_equal(looked[0, :2], before[0, :2])
    assert (looked[0, 2, :, 1] > before[0, 2, :, 1]).all()
    np.testing.assert_allclose(looked.sum(-1), 1, atol=2e-3)


def test_opera_tells_one_number_per_word_and_changes_nothing(vlm, cat):
    told = vlm.answer(cat, PROMPT, plan(mitigation="opera"), NEW)
    assert told.answer == vlm.answer(cat, PROMPT, None, NEW).answer
    scores = told.mitigation.told
    assert len(scores["log10_over_trust"]) == len(scores["anchor"]) == told.t - 1
    assert scores["log10_over_trust"][0] < np.log10(50e-7)  # one word never holds all attention


def test_var_says_that_there_is_nothing_to_redistribute(vlm, cat):
    with pytest.raises(tokviz.MissingSignal, match="no sink dimension was found in this model"):
        vlm.answer(cat, PROMPT, plan(mitigation="var"), NEW)


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_nothing_stays_on_the_model(vlm, cat, prepared, plain, name):
    at_rest = [
        (key, len(module._forward_hooks), len(module._forward_pre_hooks))
        for key, module in vlm.model.named_modules()
    ]
    vlm.answer(cat, PROMPT, plan(mitigation=name), 2)
    assert at_rest == [
        (key, len(module._forward_hooks), len(module._forward_pre_hooks))
        for key, module in vlm.model.named_modules()
    ]
    again = lane_logits(vlm, prepared)[0]
    assert all(torch.equal(a, b) for a, b in zip(again, plain, strict=True))


def test_two_images_are_contrasted_together(vlm, cat):
    trace = vlm.answer([cat, cat], PROMPT, plan(mitigation="damro", top=3), 2)
    assert trace.n == 72
    assert Plan().mitigated("vcd").label == "All tokens with VCD"
