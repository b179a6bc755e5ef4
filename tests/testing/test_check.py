"""The packaged promises: what is sound keeps them, planted faults break the right one."""

import json
import sys

import numpy as np
import pytest

import tokviz
from tests.models.tiny import TINY, shake
from tokviz.cli.main import main
from tokviz.matrix import Reduction
from tokviz.models.families.llava import Llava
from tokviz.reduction import METHODS, method
from tokviz.testing import check_family, check_method

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small():
    """(model, processor) of the tiny LLaVA."""
    model, processor = TINY["llava"].build()
    model.generation_config.eos_token_id = None
    return shake(model), processor


@pytest.fixture(scope="module")
def vlm(small):
    return tokviz.load(small)


@pytest.fixture
def planted():
    """Factory: registers a method that decides as given; taken out again afterwards."""
    made = []

    def plant(name, decide, **more):
        method(name, title=name, place="before", needs=("feats_post",), **more)(decide)
        made.append(name)
        return name

    yield plant
    for name in made:
        METHODS.remove(name)


@pytest.mark.parametrize("name", ["norm", "fastv", "tome", "fastervlm"])
def test_sound_methods_keep_every_promise(vlm, name):
    assert check_method(name, vlm) == []


def one_too_many(signals, keep):
    """Keep one token more than was asked for."""
    n = len(signals["feats_post"])
    return Reduction.select(np.arange(min(keep + 1, n)), n)


def by_chance(signals, keep):
    """Decide otherwise each time."""
    n = len(signals["feats_post"])
    return Reduction.select(np.random.default_rng().permutation(n)[:keep], n)


def says_nothing(signals, keep):
    """no first line that ends a sentence"""
    return Reduction.select(np.arange(keep), len(signals["feats_post"]))


@pytest.mark.parametrize(
    ("decide", "promise"),
    [
        (one_too_many, "tokens are left"),
        (by_chance, "the same picture gives the same decision"),
        (says_nothing, "its card says what it does"),
    ],
)
def test_a_fault_breaks_its_promise(vlm, planted, decide, promise):
    broken = check_method(planted("planted", decide), vlm)
    assert any(promise in one.promise for one in broken)
    assert all(one.why for one in broken)


def test_a_sound_family_keeps_every_promise(small):
    told = []
    assert check_family(small, lambda promise, broken: told.append(promise)) == []
    assert any("equals generate() to the bit" in promise for promise in told)
    assert any("boxes are where tokens look" in promise for promise in told)


def test_boxes_in_the_wrong_place_break_their_promise(small, monkeypatch):
    right = Llava.layout

    def swapped(self, model, processor, inputs, images):
        layout = right(self, model, processor, inputs, images)
        rows = layout.row.copy()
        layout.row[:], layout.col[:] = layout.col.copy(), rows
        return layout

    monkeypatch.setattr(Llava, "layout", swapped)
    broken = check_family(small)
    assert broken
    assert all("boxes are where tokens look" in one.promise for one in broken)


def test_commands_print_every_promise_and_fail_where_one_is_broken(
    small, vlm, planted, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(tokviz, "load", lambda *_, **__: vlm)
    assert main(["check-method", "norm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("kept  ") for line in lines[:-1])
    assert lines[-1].endswith("promises kept")
    assert main(["check-method", planted("planted", one_too_many), "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["broken"] == sum(not one["kept"] for one in record["promises"])
    assert main(["check-model", "--model", "owner/name", "--revision", "v2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["model"], record["revision"]) == ("owner/name", "v2")
    assert (record["broken"], record["dtype"], record["family"]) == (0, "float32", "llava")
    assert len(record["promises"]) > 10
    (tmp_path / "my_family.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["check-family", "my_family"]) == 2
    assert "has no function tiny() that returns" in capsys.readouterr().err
    assert main(["check-family", "no_such_module"]) == 2
    assert "cannot be imported" in capsys.readouterr().err
