"""Decoders with layers without attention: what is removed before such a layer never reaches it."""

import numpy as np
import pytest
import torch
from transformers import DynamicCache
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import tokviz
from tests.models.test_promises import PROMPT, pictures
from tests.models.tiny import QWEN_MARKS, QWEN_TEMPLATE, qwen3_5, shake
from tests.real_tokenizers import byte_level
from tokviz.capture import Capture
from tokviz.models.attention import observed
from tokviz.models.before.hybrid_stages import hybrid_stages
from tokviz.models.families.layer_kinds import MIXERS, attending_layers, layers_without_attention
from tokviz.models.families.parts import attention_of, enter_attention, queries_keys
from tokviz.models.hooks import hooked
from tokviz.models.runs.run import Run
from tokviz.reduction import METHODS, Stage
from tokviz.testing.on_families import (
    check_generate,
    layer_by_layer,
    plan_of,
    rounding,
    run_plan,
)

HYBRID = ("lfm2_vl", "minicpmv4_6", "qwen3_5")


@pytest.fixture(scope="module", params=HYBRID)
def hybrid(request, checkpoint):
    """Each family with layers without attention in turn."""
    return tokviz.load(checkpoint(request.param))


@pytest.fixture
def decoder(hybrid):
    """Its text decoder."""
    return hybrid.family.decoder(hybrid.model)


@pytest.fixture
def blind(decoder, blind_method):
    """Removes tokens before layer 1 and before the last layer with attention, by no signal."""
    last = attending_layers(decoder)[-1]
    return blind_method("blind", 3, lambda keep: [Stage(1, keep + 4), Stage(last, keep)])


def started(vlm, prepared, plan):
    """A run that has read the prompt."""
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [plan], Capture()), {}, plan, Capture())
        run.start()
    return run


def left_at(run):
    """Layer -> the visual tokens that enter it, for each stage of a run."""
    stages = run.lane.stages
    return {layer: np.sort(stages.reduction_at(layer).position) for layer, *_ in stages.done}


def mixers(decoder):
    """Layer without attention -> the module that mixes its tokens."""
    kinds = decoder.config.layer_types
    return {
        layer: getattr(decoder.layers[layer], MIXERS[kinds[layer]])
        for layer in layers_without_attention(decoder)
    }


# -- removal --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_every_step_equals_the_layers_on_the_shorter_sequence(hybrid, cat, blind, policy):
    """The reference calls block by block, with no cache: prompt and answer in one sequence.

    Linear attention step by step and in one piece rounds differently: within generate() and one
    forward of transformers by up to 2e-4 on these models, and more the longer the prompt is.
    """
    prepared = hybrid.prepare(pictures(cat, 2), PROMPT)
    logits, run = run_plan(hybrid, prepared, tokviz.plan(blind, keep=5, positions=policy))
    left, ids = left_at(run), run.lane.ids[: len(logits) - 1]
    assert [len(one) for one in left.values()] == [9, 3]  # every third of 9, three
    want = layer_by_layer(hybrid, prepared, left, ids, repack=policy == "repack")
    for step, (ours, theirs) in enumerate(zip(logits, want, strict=True)):
        assert torch.allclose(ours, theirs, atol=5e-4), step
    whole = layer_by_layer(hybrid, prepared, {}, ids)
    assert not torch.allclose(logits[0], whole[0], atol=1e-2)


def test_states_are_those_of_the_shorter_sequence_read_token_by_token(hybrid, cat, decoder, blind):
    """One token after the other through each layer: the library's other code for the same."""
    prepared = hybrid.prepare(cat, PROMPT)
    run = started(hybrid, prepared, tokviz.plan(blind, keep=5, positions="keep"))
    entered = {}
    hooks = [
        mixer.register_forward_pre_hook(
            lambda module, args, given, layer=layer: entered.update({layer: given}),
            with_kwargs=True,
        )
        for layer, mixer in mixers(decoder).items()
    ]
    with hooked(hooks):
        layer_by_layer(hybrid, prepared, left_at(run))
    assert len({given["hidden_states"].shape[1] for given in entered.values()}) > 1
    for layer, mixer in mixers(decoder).items():
        named = next(name for name in ("cache_params", "past_key_values") if name in entered[layer])
        cache, states = DynamicCache(config=decoder.config), entered[layer]["hidden_states"]
        with torch.inference_mode():
            for row in states[0]:
                mixer(row[None, None], **{named: cache})
        ours, theirs = run.lane.cache.layers[layer], cache.layers[layer]
        assert torch.allclose(ours.conv_states[0], theirs.conv_states[0], atol=1e-4)
        if theirs.recurrent_states[0] is not None:
            size = theirs.recurrent_states[0].abs().max()
            far = (ours.recurrent_states[0] - theirs.recurrent_states[0]).abs().max()
            assert far < 1e-4 * size


def test_a_removed_token_changes_nothing_any_more(hybrid, cat, decoder, blind):
    """Noise in its state at the layer before which it leaves: every later word is the same."""
    prepared, plan = hybrid.prepare(cat, PROMPT), tokviz.plan(blind, keep=5, positions="keep")
    plain, run = run_plan(hybrid, prepared, plan)
    (layer, kept), *_ = left_at(run).items()
    dead = torch.as_tensor(np.delete(prepared.asked.layout.position, kept)).long()

    def disturb(rows):
        def hook(module, args):
            if args[0].shape[1] == len(prepared.asked.prompt_ids):
                states = args[0].clone()
                states[:, rows] = 10 * torch.randn_like(states[:, rows])
                return (states, *args[1:])
            return None

        return decoder.layers[layer].register_forward_pre_hook(hook)

    with hooked([disturb(dead)]):
        noisy, _ = run_plan(hybrid, prepared, plan)
    assert all(map(torch.equal, plain, noisy))
    alive = torch.as_tensor(prepared.asked.layout.position[kept[:1]]).long()
    with hooked([disturb(alive)]):
        changed, _ = run_plan(hybrid, prepared, plan)
    assert not torch.equal(plain[0], changed[0])


def test_a_layer_without_attention_has_no_rows_in_the_cache_and_its_state_counts(
    hybrid, cat, decoder
):
    trace = hybrid.answer(cat, PROMPT, None, 3)
    without = layers_without_attention(decoder)
    rows = len(trace.prompt_tokens) + trace.t - 1
    assert trace.kv_lengths == tuple(
        0 if i in without else rows for i in range(len(decoder.layers))
    )
    shorter = hybrid.answer(cat, PROMPT, tokviz.plan("uniform", keep=4), 3)
    gone = (trace.n - 4) * (trace.kv_bytes - states_bytes(hybrid, cat)) // rows
    assert trace.kv_bytes - shorter.kv_bytes == gone


def states_bytes(vlm, image):
    """Bytes of the states of the layers without attention, read off a run's cache."""
    cache = started(vlm, vlm.prepare(image, PROMPT), None).lane.cache
    states = [one for layer in cache.layers for one in vars(layer).items()]
    named = [of for name, of in states if name in ("conv_states", "recurrent_states")]
    return sum(one.nbytes for of in named for one in of.values() if one is not None)


# -- methods --------------------------------------------------------------------------------------


def test_a_method_decides_where_the_layer_that_it_reads_has_attention(hybrid, cat, decoder):
    """FastV reads the layer before its stage (layer 1 as published): the first with attention."""
    own = attending_layers(decoder)
    trace = hybrid.answer(cat, PROMPT, tokviz.plan("fastv", keep=9), 2)
    want = next(layer + 1 for layer in own if layer >= 1)
    assert [stage.layer for stage in trace.stages] == [want]
    if want != 2:
        (status,) = trace.model["status"]
        said = f"it decides before layer {want} of {len(decoder.layers)}, not layer 2"
        assert any(said in why for why in status["why"])
        assert any(said in note for note in trace.notes)
    for method, step in {"fastv": -1, "pyramiddrop": 0}.items():
        entry = METHODS[method]
        stages, _ = hybrid_stages(entry, entry.stages(40, 10, len(decoder.layers)), decoder)
        assert stages
        assert all(stage.layer + step in own for stage in stages)
        assert stages[-1].keep == entry.stages(40, 10, len(decoder.layers))[-1].keep


@pytest.mark.weekly
@pytest.mark.slow
def test_a_photograph_of_12_megapixels_and_a_tokenizer_with_merges_in_bfloat16(cat):
    """As a user has it: 16 bits, hundreds of visual tokens, words of several letters and bytes."""
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", *QWEN_MARKS]})
    model, processor = qwen3_5()
    model.resize_token_embeddings(len(tokenizer))
    for name, mark in zip(
        ("image", "video", "vision_start", "vision_end"), QWEN_MARKS, strict=True
    ):
        setattr(model.config, f"{name}_token_id", tokenizer.convert_tokens_to_ids(mark))
    pixels = Qwen2VLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 1024, "longest_edge": 400 * 400}
    )
    processor = type(processor)(pixels, tokenizer, chat_template=QWEN_TEMPLATE)
    torch.manual_seed(0)
    vlm = tokviz.load((shake(model).to(torch.bfloat16), processor))
    question = "what is in the picture? naïve café, 日本語"
    prepared = vlm.prepare(cat.resize((4000, 3000)), question)
    own = prepared.asked.prompt_ids[prepared.asked.own_rows]
    assert tokenizer.decode(own) == question
    n = prepared.asked.layout.n
    assert n > 500
    for place in ("nowhere", "before", "language_model", "cache"):
        check_generate(vlm, prepared, plan_of(place, n))
    for policy in ("keep", "repack"):
        logits, run = run_plan(vlm, prepared, tokviz.plan("fastv", keep=n // 4, positions=policy))
        ids, repack = run.lane.ids[: len(logits) - 1], policy == "repack"
        want = layer_by_layer(vlm, prepared, left_at(run), ids, repack).float()
        for ours, theirs in zip(logits, want, strict=True):
            assert (ours - theirs).abs().max() < rounding(vlm, theirs)


REFUSED = {
    "aim_mask": "hides tokens that stay in the sequence",
    "tidaldecode": "hides tokens that stay in the sequence",
    "yopo": "hides tokens that stay in the sequence",
    "catp_stage2": "attention of two layers in a row",
    "transprune": "attention of all layers before its stage",
    "gamma_mod": "which tokens pass by",
    "hawk": "first layer is",
    "relevance": "it has no attention map",
}


@pytest.mark.parametrize("method", REFUSED)
def test_what_a_method_cannot_do_here_is_said_with_the_layers(hybrid, cat, method):
    with pytest.raises(tokviz.MissingSignal, match=REFUSED[method]) as told:
        hybrid.answer(cat, PROMPT, tokviz.plan(method, keep=9), 2)
    assert any(kind in str(told.value) for kind in ("linear attention", "short convolution"))


def test_a_method_of_states_decides_where_it_was_published(hybrid, cat):
    """V2Drop compares the states around a layer, whatever the layer mixes them with."""
    trace = hybrid.answer(cat, PROMPT, tokviz.plan("v2drop", keep=9), 2)
    entry = METHODS["v2drop"]
    stages = entry.stages(trace.n, 9, trace.model["layers"])
    assert [stage.layer for stage in trace.stages] == [stage.layer for stage in stages]


def test_eviction_cuts_the_caches_that_have_tokens_and_says_so(hybrid, cat, decoder):
    trace = hybrid.answer(cat, PROMPT, tokviz.plan("pyramidkv", keep=9), 2)
    cut = [stage.layer for stage in trace.stages]
    assert cut == attending_layers(decoder)
    assert np.mean([stage.reduction.heads.counts[0] for stage in trace.stages]) == pytest.approx(
        9, abs=1
    )
    assert any("whose state has no tokens that could be evicted" in note for note in trace.notes)


def test_merged_tokens_are_read_once_and_it_says_why(hybrid, cat):
    trace = hybrid.answer(cat, PROMPT, tokviz.plan("dymu", keep=9), 2)
    (status,) = trace.model["status"]
    assert any("layers without attention" in why for why in status["why"])


def test_queries_and_keys_before_rotation_are_those_of_the_layer(hybrid, cat, decoder):
    """At position 0 nothing is rotated. Qwen3.5's matrix makes queries and gates by turns."""
    layer = attending_layers(decoder)[0]
    block, calls = decoder.layers[layer], []
    states = torch.randn(1, 7, decoder.config.hidden_size)
    rotation = hybrid.family.rotary(decoder, states, torch.zeros(1, 7).long(), layer)
    with hybrid.guarded(), observed(lambda call: calls.append(call)):
        block(states, position_embeddings=rotation, attention_mask=None)
        query, key = queries_keys(attention_of(block), enter_attention(block, states)[0])
    assert torch.allclose(query, calls[0].query[0], atol=1e-5)
    assert torch.allclose(key, calls[0].key[0], atol=1e-5)


# -- what is recorded -----------------------------------------------------------------------------


def test_gaps_are_gaps_and_means_are_over_layers_with_attention(hybrid, cat, decoder):
    trace = hybrid.answer(cat, PROMPT, None, 3, Capture(flow=True, states=True))
    trace = tokviz.open_trace(trace.to_bytes())
    own = attending_layers(decoder)
    found = tokviz.analyse("attention", trace)
    want = trace["attention"][:, own].astype(np.float32).mean(1)
    assert np.allclose(found.values, want, atol=1e-6)
    for name, axis in {"attention": 1, "attention_heads": 1, "mass": 1, "flow": 0}.items():
        there = [
            i for i in range(len(decoder.layers)) if np.isfinite(trace[name].take(i, axis)).any()
        ]
        assert there == own, name
    assert np.isfinite(trace["layer_means"]).all()  # states are there in every layer
    gap = next(iter(layers_without_attention(decoder)))
    with pytest.raises(tokviz.MissingSignal, match=f"Layer {gap} is .*: it has no attention map"):
        tokviz.analyse("attention", trace, layer=gap)


def test_text_is_cut_off_the_image_only_where_that_can_be_done(hybrid, cat, decoder):
    trace = hybrid.answer(cat, PROMPT, None, 2)
    found = hybrid.analyse("knockout", cat, trace=trace, window=1)
    own = attending_layers(decoder)
    assert np.flatnonzero(np.isfinite(found.values)).tolist() == own
    assert np.flatnonzero(np.isfinite(found["layers"].values)).tolist() == own


def test_an_edit_of_attention_says_that_the_other_layers_read_the_picture_too(hybrid, cat):
    trace = hybrid.answer(cat, PROMPT, tokviz.plan(mitigation="pai", first_layer=0), 2)
    assert any("it cannot edit the others, which read the picture too" in n for n in trace.notes)
