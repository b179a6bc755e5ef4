"""Two small pictures, a table about them, and the tiny LLaVA of tests/models."""

import json

import numpy as np
import pytest
from PIL import Image

import tokviz
from tests.models.tiny import TINY, save
from tokviz.sweeps import worker


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The checkpoint of a tiny LLaVA."""
    return save(TINY["llava"], tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def vlm(folder):
    """The same, loaded."""
    return tokviz.load(folder)


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures and questions.csv."""
    home = tmp_path / "pictures"
    home.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 48, 3), np.uint8)
        Image.fromarray(pixels).save(home / f"{i}.png")
    (home / "questions.csv").write_text(
        "image,question,answer,kind\n0.png,what is this?,a dog,exact\n"
        "1.png,is there a dog?,yes,yes_no\n0.png,is there a cat?,no,yes_no\n"
    )
    return home


@pytest.fixture
def write_lines():
    """Write one JSON object per line."""

    def write(path, rows):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def loaded(vlm, monkeypatch):
    """Loading the tiny model in this process gives the one that is loaded already."""
    monkeypatch.setattr(worker, "load", lambda name, **loading: vlm)
    return vlm
