"""What a visitor learns about the models of a server: their names, never where they lie."""

import logging

import pytest

from components.models import Models
from tests.components.fake_vlm import FakeVLM
from tokviz.errors import ModelError


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
