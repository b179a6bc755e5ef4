"""Gemma 3n: four versions of each state, a tower without layers, and packages of its own."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.utils import import_utils

import tokviz
from tests.models.test_promises import PROMPT, pictures
from tests.models.tiny import Tiny, clip, llava, save
from tests.models.tiny_gemma3n import gemma3n
from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal, ModelError
from tokviz.matrix import Reduction
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.families.state_versions import active, leaving, versions_of
from tokviz.models.hooks import hooked
from tokviz.plans import chosen
from tokviz.reduction import METHODS, Stage, method
from tokviz.testing.on_families import check_generate, plan_of, run_plan, without

EVERYTHING = Capture(lens=2, states=True)


@pytest.fixture(scope="module")
def vlm(checkpoint):
    """The tiny model, which no test changes."""
    return tokviz.load(checkpoint("gemma3n"))


@pytest.fixture
def passed(vlm, cat):
    """What enters layer 0, 1 and so on, what leaves the last layer, and what the norm gets."""
    decoder, seen = vlm.family.decoder(vlm.model), {"in": [], "out": [], "norm": []}
    hooks = [
        decoder.norm.register_forward_pre_hook(lambda module, args: seen["norm"].append(args[0])),
        decoder.layers[-1].register_forward_hook(lambda *call: seen["out"].append(call[2])),
        *(
            layer.register_forward_pre_hook(lambda module, args: seen["in"].append(args[0]))
            for layer in decoder.layers
        ),
    ]
    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded(), hooked(hooks):
        logits = vlm.model(**prepared.inputs).logits[0]
    return decoder, seen, logits, prepared


# -- versions of states ---------------------------------------------------------------------------


def test_what_is_read_behind_the_last_layer_is_what_the_final_norm_sees(passed):
    decoder, seen, _, _ = passed
    assert seen["out"][0].shape[0] == 4
    some = seen["out"][0][..., 0, 3:5, :]  # of some rows only
    with torch.inference_mode():
        assert torch.equal(leaving(decoder, seen["out"][0]), seen["norm"][0])
        assert torch.allclose(leaving(decoder, some), seen["norm"][0][0, 3:5], atol=1e-6)


def test_before_layer_0_the_version_that_is_read_is_the_embedding(passed, vlm):
    decoder, seen, _, prepared = passed
    first = active(decoder.layers[0], seen["in"][0])
    with vlm.guarded():
        assert torch.equal(versions_of(decoder, first), seen["in"][0])
        features = vlm.family.image_features(vlm.model, prepared.inputs).tokens
    assert torch.equal(first[0, prepared.asked.layout.position], features)


def test_a_lens_reads_after_the_last_layer_what_the_model_says(passed, vlm, cat):
    _, _, logits, prepared = passed
    trace = vlm.answer(cat, PROMPT, None, 2, EVERYTHING)
    said = logits[prepared.asked.layout.position].softmax(-1).topk(2)
    assert np.array_equal(trace["lens_ids"][-1], said.indices.numpy())
    assert np.allclose(trace["lens_prob"][-1], said.values.numpy(), atol=1e-3)


def test_recorded_is_the_version_on_which_each_layer_works(passed, vlm, cat):
    decoder, seen, _, prepared = passed
    trace = vlm.answer(cat, PROMPT, None, 2, EVERYTHING)
    position = prepared.asked.layout.position
    for layer, states in enumerate(seen["in"]):
        mean = active(decoder, states)[0, position].mean(0)
        assert np.allclose(trace["layer_means"][layer, 0], mean.numpy(), atol=1e-4)
        others = states[1:, 0, position].mean(1).numpy()
        assert not np.allclose(trace["layer_means"][layer, 0], others[0], atol=1e-2)
    assert any("several versions of each state" in note for note in trace.notes)


def test_tokens_merged_inside_are_merged_in_every_version(vlm, cat):
    """Pairs of neighbours become their means before layer 2."""

    def pairs(signals, keep):
        n, every = signals.n, np.arange(signals.n)
        return Reduction.from_entries(every // 2, every, np.full(n, 0.5), n, n // 2, every[::2])

    place = {"place": "language_model", "needs": ("llm_hidden",), "adaptive": True}
    schedule = lambda n, keep, layers: [Stage(2, n // 2)]  # noqa: E731
    method("pairs", title="pairs", schedule=schedule, **place)(pairs)
    entered, layers = [], vlm.family.decoder(vlm.model).layers
    hooks = [
        layers[2].register_forward_pre_hook(lambda module, args: entered.append(args[0])),
        layers[2].register_forward_hook(lambda module, args, output: entered.append(args[0])),
    ]
    try:
        with hooked(hooks):
            vlm.answer(cat, PROMPT, tokviz.plan("pairs", keep=18), 1)
    finally:
        METHODS.remove("pairs")
    whole, merged = entered[:2]
    position = vlm.prepare(cat, PROMPT).asked.layout.position
    assert merged.shape[-2] == whole.shape[-2] - 18
    want = whole[:, 0, position].unflatten(1, (18, 2)).mean(2)
    assert torch.allclose(merged[:, 0, position[0] : position[0] + 18], want, atol=1e-6)


def test_visual_tokens_have_the_paddings_own_inputs_of_layers(vlm):
    decoder, ids = vlm.family.decoder(vlm.model), torch.tensor([[vlm.model.config.image_token_id]])
    assert ids.item() >= decoder.config.vocab_size_per_layer_input
    with vlm.guarded():
        own = decoder.get_per_layer_inputs(ids)
        assert torch.equal(own, decoder.get_per_layer_inputs(torch.zeros_like(ids)))
        assert own.abs().sum() > 0


def test_another_family_may_be_built_around_the_decoder(tmp_path, cat):
    """A LLaVA, whose layers' own inputs are made of the embeddings alone."""
    own = gemma3n()[0].config.text_config

    def built():
        _, processor = llava()
        config = LlavaConfig(
            vision_config=clip(), text_config=own, image_token_id=4, vision_feature_layer=-2
        )
        return LlavaForConditionalGeneration(config), processor

    other = tokviz.load(save(Tiny(built, ()), tmp_path))
    prepared = other.prepare(cat, PROMPT)
    check_generate(other, prepared, plan_of("language_model", prepared.asked.layout.n))
    left = np.arange(0, 36, 3)
    (ours, *_), _ = run_plan(other, prepared, chosen(Reduction.select(left, 36)))
    assert torch.allclose(ours, without(other, prepared, left), atol=1e-4)


# -- a tower without layers -----------------------------------------------------------------------


def test_a_method_inside_the_tower_is_refused_in_words(vlm, cat):
    for name in ("tome", "flowcut"):
        with pytest.raises(InputError, match="Gemma 3n is convolutional.*before or inside"):
            vlm.answer(cat, PROMPT, tokviz.plan(name, keep=9), 2)


def test_a_method_that_reads_the_towers_attention_is_refused_in_words(vlm, cat):
    reads = [
        name
        for name, entry in METHODS.items()
        if {"full_attn", "k"} & set(entry.needs) - set(entry.fallbacks) and entry.place == "before"
    ]
    assert reads
    for name in reads:
        with pytest.raises(MissingSignal, match=r"convolutional|\[CLS\]"):
            vlm.answer(pictures(cat, 2), PROMPT, tokviz.plan(name, keep=9), 2)


@pytest.mark.parametrize(
    ("name", "why"), [("registers", "no layers of tokens"), ("cls_attention", "no layers of tok")]
)
def test_an_analysis_of_the_towers_layers_says_that_there_are_none(vlm, cat, name, why):
    trace = vlm.answer(cat, PROMPT, None, 2)
    for one in (trace, tokviz.open_trace(trace.to_bytes())):
        assert one.model["tower_layers"] == 0
        with pytest.raises(MissingSignal, match=why):
            tokviz.analyse(name, one)


def test_what_stands_before_the_projector_is_the_towers_map(vlm, cat):
    prepared = vlm.prepare(pictures(cat, 2), PROMPT)
    vision = vlm.encode(prepared, [None], Capture())
    with vlm.guarded():
        tower = vlm.model.model.vision_tower(prepared.inputs["pixel_values"]).last_hidden_state
        again = vlm.family.project(vlm.model, vision.pre)
    want = tower.flatten(2).transpose(1, 2).flatten(0, 1) * tower.shape[1] ** 0.5
    assert torch.allclose(vision.pre, want, atol=1e-5)
    assert torch.allclose(again, vision.features.tokens, atol=1e-6)


def test_a_picture_of_twelve_megapixels_gives_as_many_tokens_over_all_of_it(vlm):
    trace = vlm.answer(Image.new("RGB", (4000, 3000), "red"), PROMPT, None, 1)
    assert trace.n == 36
    assert trace.layout.sizes == ((4000, 3000),)
    assert trace.layout.box[-1].tolist() == pytest.approx([4000 * 5 / 6, 2500, 4000, 3000])
    assert not len(trace.layout.unseen(0))


def test_no_sound_is_asked_for(vlm, cat):
    assert not {"input_features", "input_features_mask"} & set(vlm.prepare(cat, PROMPT).inputs)


# -- packages -------------------------------------------------------------------------------------


def test_a_missing_package_is_said_with_the_command_that_brings_it(monkeypatch, checkpoint):
    folder = checkpoint("gemma3n")
    _, message = import_utils.BACKENDS_MAPPING["timm"]
    monkeypatch.setitem(import_utils.BACKENDS_MAPPING, "timm", (lambda: False, message))
    said = r"Gemma 3n needs the package timm with torchvision.*pip install '.*\[timm\]'"
    with pytest.raises(ModelError, match=said):
        tokviz.load(folder)
    with pytest.raises(ModelError, match=said):
        family_of("gemma3n")  # as before a download
    assert family_of("gemma4").name == "gemma4"


def test_a_package_that_cannot_be_imported_is_said_too(monkeypatch, checkpoint):
    """Such as a torchvision for another torch."""
    folder = checkpoint("gemma3n")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="A torchvision for another version of torch"):
        tokviz.load(folder)
