"""What a visitor learns about the models of a server: their names, never where they lie."""

import logging
import math
import threading
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

import tokviz
from components.runs import models as module
from components.runs.models import Models
from tests.components.fake_vlm import FakeVLM
from tokviz.errors import ModelError
from tokviz.models.checkpoints.loading import EMBEDDED


def test_a_folder_is_offered_by_its_last_part(tmp_path):
    asked = []

    def load(place):
        asked.append(place)
        return FakeVLM()

    one, two = tmp_path / "a/llava", tmp_path / "b/llava"
    models = Models(("embedded", str(one), str(two), "org/name", "embedded"), load=load)
    assert models.names == ("embedded", "llava", "llava (2)", "org/name")
    assert models.get("llava (2)").name == "llava (2)"
    assert asked == [str(two)]


def test_a_model_that_cannot_be_loaded_tells_its_name_and_logs_its_place(tmp_path, caplog):
    broken = tmp_path / "secret-place/broken"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text('{"model_type": "llava"}')
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError) as refused:
        Models((str(broken),)).get("broken")
    assert "'broken' could not be loaded" in str(refused.value)
    assert "secret-place" not in str(refused.value)
    assert str(broken) in caplog.text


def test_the_list_shows_the_card_of_a_known_model_and_the_name_of_another():
    """The number of weights is what the files of the model that ships hold."""
    held = sum(
        math.prod(one.shape)
        for file in EMBEDDED.glob("*.safetensors")
        for one in load_file(file).values()
    )
    choices = dict(Models(("embedded", "google/gemma-3-4b-it@abc", "org/name")).choices)
    assert list(choices.values()) == ["embedded", "google/gemma-3-4b-it@abc", "org/name"]
    labels = list(choices)
    size = f"{held / 1e6:.1f} M weights, 0.1 GB"
    assert labels[0] == f"Embedded model · {size} · [CLS] · tested: run"
    assert labels[1].startswith("Gemma 3 4B · 4.3 B weights, 8.6 GB · no [CLS] · tested: config")
    assert labels[2] == "org/name"


def test_visitors_hear_that_the_code_of_models_is_imported_first(monkeypatch):
    told = threading.Event()

    def imported(name):
        assert told.wait(10)
        return lambda *args, **options: SimpleNamespace()

    monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.01)
    monkeypatch.delattr(tokviz, "load", raising=False)
    monkeypatch.setattr(tokviz, "__getattr__", imported)
    coming = Models().load_with_progress("embedded")
    assert next(coming) == "importing PyTorch and transformers"
    told.set()
    assert not list(coming)


def test_visitors_hear_how_far_loading_is_and_then_the_error(monkeypatch):
    monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.01)
    told, asked = threading.Event(), {}

    def load(name, progress, **options):
        asked.update(options, name=name)
        progress("fetching: 0.50 of 2.00 GB")
        assert told.wait(10)
        raise ModelError("no")

    monkeypatch.setattr(tokviz, "load", load, raising=False)
    monkeypatch.setattr(module, "fetch_files", lambda *what: None)
    coming = Models(("org/name@abc",), options={"device": "cpu"}).load_with_progress("org/name@abc")
    assert next(coming) == "fetching: 0.50 of 2.00 GB"
    told.set()
    with pytest.raises(ModelError, match="could not be loaded on this server"):
        next(coming)
    assert asked == {"name": "org/name", "revision": "abc", "device": "cpu", "stop": None}
