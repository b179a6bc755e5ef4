"""Two small pictures, a table about them, and the tiny LLaVA of tests/models."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.models.conftest import folder, vlm  # noqa: F401
from tokviz.sweeps import worker


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
def loaded(vlm, monkeypatch):  # noqa: F811
    """Loading the tiny model in this process gives the one that is loaded already."""
    monkeypatch.setattr(worker, "load", lambda name, device=None: vlm)
    return vlm
