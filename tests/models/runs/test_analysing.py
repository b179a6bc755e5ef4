"""Every analysis runs for real on the embedded model, by one call and from the command line."""

import json

import numpy as np
import pytest

import tokviz
from tests.example_scenes import THING, shown_once
from tokviz.analysis import ANALYSES
from tokviz.capture import Capture
from tokviz.cli.main import main
from tokviz.errors import InputError, MissingSignal
from tokviz.models.runs.analysing import forwards
from tokviz.trace import open_trace

pytestmark = pytest.mark.slow

SCENE, PROMPT = THING.picture, f"where is the {THING.name} ?"
OTHER = next(one.picture for one in shown_once() if one.picture != SCENE)
SMALL = {
    "shapley": {"side": 12}, "leave_out": {"side": 12}, "integrated_gradients": {"steps": 4},
    "attention_rank": {"most_rows": 64},
}  # fmt: skip
MANY_FORWARDS = {
    "knockout", "integrated_gradients", "leave_word_out", "exit_layer", "relevance",
    "image_dependence", "input_gradient", "leave_out", "shapley", "attention_rank",
}  # fmt: skip
"""These take seconds each; on tiny models they run every time, in tests of their own."""


@pytest.fixture(scope="module")
def embedded(shipped_model):
    return shipped_model


@pytest.fixture(scope="module")
def stored(embedded, tmp_path_factory):
    """A run that recorded everything but control images, saved and opened again."""
    capture = Capture(lens=3, flow=True, states=True)
    file = tmp_path_factory.mktemp("run") / "run.safetensors"
    embedded.answer(SCENE, PROMPT, None, 8, capture).save(file)
    return open_trace(file)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.weekly] * (n in MANY_FORWARDS)) for n in sorted(ANALYSES)],
)
def test_every_analysis_runs_on_the_embedded_model(name, embedded, stored):
    images = [SCENE, OTHER] if "folder" in ANALYSES[name].asks else SCENE
    if "decode_sets" in ANALYSES[name].needs:  # a run whose words choose their own sets
        stored = embedded.answer(SCENE, PROMPT, tokviz.plan("tidaldecode", keep="20%"), 8)
    result = embedded.analyse(name, images, PROMPT, trace=stored, **SMALL.get(name, {}))
    finite = np.asarray(result.values, np.float64)
    assert np.isfinite(finite).any()
    record = json.loads(json.dumps(result.as_record(), allow_nan=False))
    assert record["shape"] == list(np.shape(result.values))


def test_sink_analyses_say_what_is_missing_on_a_model_without_sinks(vlm):
    """The tiny model of random weights has none."""
    with pytest.raises(MissingSignal, match="sink dimensions, and none was found"):
        vlm.analyse("sinks", SCENE, PROMPT, max_new_tokens=1)


def test_the_image_is_what_makes_the_model_say_where_it_is(embedded, stored):
    dependence = embedded.analyse("image_dependence", SCENE, PROMPT, trace=stored)
    assert stored.answer == THING.place
    assert dependence["least"].values.max() > 0.5  # bits, whatever the control
    assert dependence["kl"].values.shape == (4, stored.t)


def test_forwards_are_known_beforehand(embedded, stored):
    told = []
    for name in ("leave_out", "shapley"):
        expected = forwards(ANALYSES[name], stored, **SMALL[name])
        result = embedded.analyse(
            name, SCENE, PROMPT, trace=stored, progress=lambda *p: told.append(p), **SMALL[name]
        )
        assert result["forwards"].values == expected
        assert told[-1] == (expected, expected)


def test_without_the_image_it_says_which_runs_are_needed(embedded, stored):
    with pytest.raises(MissingSignal, match=r"maps.*Give the image and the prompt"):
        embedded.analyse("rollout", trace=stored)
    with pytest.raises(InputError, match="other content|another"):
        embedded.analyse("rollout", OTHER, "what is this ?", trace=stored)


def test_fidelity_compares_a_reduced_run_with_the_full_one(embedded):
    plan = tokviz.plan("random", keep=8)
    result = embedded.analyse("fidelity", SCENE, PROMPT, plan=plan, max_new_tokens=4)
    assert 0 < float(result.values) < 0.9999


@pytest.mark.weekly
def test_control_images_are_recorded_when_asked_for(embedded, stored):
    trace = embedded.answer(SCENE, PROMPT, None, 8, Capture(controls=True))
    again = embedded.analyse("image_dependence", SCENE, PROMPT, trace=stored)
    assert np.allclose(trace["control_prob"], again["control"].values, atol=1e-5)


@pytest.mark.weekly
def test_the_command_line_prints_text_and_json(embedded, capsys, stored, tmp_path):
    asked = ["analyse", str(SCENE), "--prompt", PROMPT, "--analysis"]
    assert main([*asked, "knockout", "--option", "window=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Attention knockout (exact)"
    count = embedded.info["layers"] - 1  # windows of two layers
    assert lines[1].startswith(f"  [{count} items] ")
    windows = [f"{i} to {i + 1}" for i in range(count)]
    assert [line.strip()[: len(w)] for line, w in zip(lines[2:], windows, strict=False)] == windows
    stored.save(tmp_path / "run.safetensors")
    kept = ["analyse", "--from-trace", str(tmp_path / "run.safetensors"), "--analysis"]
    assert main([*kept, "block_flow", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"]["b"][1] == "image"
    assert main([*kept, "rollout"]) == 2
    assert "needs further runs of the model: 'maps'" in capsys.readouterr().err
