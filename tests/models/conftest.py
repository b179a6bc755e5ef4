"""Tiny random models of the real classes, saved to a folder and loaded from it."""

import pytest
from PIL import Image
from skimage import data

import tokviz
from tests.models.tiny import TINY, save
from tests.models.tiny_tiles import TINY_FORMS, TINY_KIN, TINY_TILES

TINY.update(TINY_TILES)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """name -> folder of a saved checkpoint, as a user would have it on disk; made once."""
    made = {}

    def folder_of(name):
        if name not in made:
            kind = (TINY | TINY_KIN | TINY_FORMS)[name]
            made[name] = save(kind, tmp_path_factory.mktemp(name))
        return made[name]

    return folder_of


@pytest.fixture(scope="session", params=sorted(TINY))
def family(request):
    """The name of each family in turn."""
    return request.param


@pytest.fixture(scope="session")
def tiny(family):
    """What tests need to know about the family's tiny model."""
    return TINY[family]


@pytest.fixture(scope="session")
def model(family, checkpoint):
    """A tiny model of each family in turn, loaded in float32."""
    return tokviz.load(checkpoint(family))


@pytest.fixture(scope="session")
def half_model(family, checkpoint):
    """The same in bfloat16."""
    return tokviz.load(checkpoint(family), dtype="bfloat16")


@pytest.fixture(scope="session")
def folder(checkpoint):
    """The checkpoint of a tiny LLaVA."""
    return checkpoint("llava")


@pytest.fixture(scope="session")
def vlm(folder):
    """The tiny LLaVA, loaded."""
    return tokviz.load(folder)


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    """A real photograph."""
    return Image.fromarray(data.chelsea())
