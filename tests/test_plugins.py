"""Packages of others, really installed: they join the lists, and broken ones spoil nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PLUGINS = Path(__file__).parent / "plugins"

SCRIPT = """
import json, sys, tokviz

image, checkpoint = sys.argv[1:]
vlm = tokviz.load(checkpoint)
plan = tokviz.plan("example_border", keep=20, mitigation="example_louder")
plain = tokviz.load("embedded").answer([image], "is there a dog ?")
p = "answer_prob"
full, edited = (vlm.answer([image], "is there a dog ?", plan=plan) for plan in (None, plan))
try:
    tokviz.METHODS["half"]
except tokviz.InputError as error:
    refused = str(error)
print(json.dumps({
    "family": vlm.family.title,
    "same": full.answer == plain.answer and full[p].tolist() == plain[p].tolist(),
    "kept": edited.reduction.kept.tolist(),
    "mitigation": edited.mitigation.name,
    "middle": tokviz.analyse("example_middle", full).values.shape == full["attention"].shape[:2],
    "options": list(tokviz.METHODS["example_border"].options),
    "broken": [tokviz.METHODS.broken, tokviz.ANALYSES.broken, tokviz.FAMILIES.broken],
    "there": [len(tokviz.METHODS), len(tokviz.ANALYSES), "half" in tokviz.METHODS],
    "refused": refused,
    "fastv": tokviz.METHODS["fastv"].title,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip has installed both packages, built from a copy of their sources."""
    home = tmp_path_factory.mktemp("plugins")
    sources = [shutil.copytree(PLUGINS / name, home / name) for name in ("example", "broken")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--disable-pip-version-check", "--target", home / "site"]
    done = subprocess.run([*pip, *sources], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return home / "site"


@pytest.fixture(scope="module")
def seen(installed, tmp_path_factory):
    """What a program sees that starts with these packages there."""
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    for file in (ROOT / "assets/model").iterdir():
        (checkpoint / file.name).symlink_to(file)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").unlink()
    (checkpoint / "config.json").write_text(json.dumps(config | {"model_type": "example_llava"}))
    image = sorted((ROOT / "assets/examples").glob("*.png"))[0]
    env = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", SCRIPT, image, checkpoint]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"log": done.stderr}


def test_a_method_an_analysis_and_a_mitigation_of_others_run(seen):
    assert seen["kept"][:3] == [0, 1, 2]
    assert len(seen["kept"]) == 20
    assert seen["options"] == ["rows"]
    assert seen["mitigation"] == "example_louder"
    assert seen["middle"]


def test_a_family_of_others_loads_a_type_that_transformers_does_not_know(seen):
    assert seen["family"] == "Example LLaVA"
    assert seen["same"]


def test_broken_plugins_are_named_and_left_out_whole(seen):
    methods, analyses, families = seen["broken"]
    assert methods == {
        "half_done": "RuntimeError: this plugin was made for another version",
        "absent": "ModuleNotFoundError: No module named 'tokviz_absent'",
        "taken": "ValueError: the method name 'fastv' is already taken.",
        "wrong": "TypeError: the method 'wrong' must be a Method, got function; register it with "
        "the decorator.",
        "nothing": "ValueError: it registered no method; is the decorator missing?",
        "no_such_name": "AttributeError: module 'tokviz_nothing' has no attribute 'something'",
    }
    assert seen["fastv"] == "FastV"
    assert analyses == {"leaves": "SystemExit: no licence found"}
    assert families == {}
    assert seen["there"][0] > 50
    assert seen["there"][1] > 20
    assert not seen["there"][2]
    assert "left out: absent, half_done, no_such_name, nothing, taken, wrong " in seen["refused"]
    assert "'half_done' was left out: this plugin was made for another version" in seen["log"]
