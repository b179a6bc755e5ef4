"""Tiny random models of the real classes, saved to a folder and loaded from it."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

import tokviz
from tests.models.tiny import TINY, save
from tests.models.tiny_tiles import TINY_FORMS, TINY_KIN, TINY_TILES
from tokviz.matrix import Reduction
from tokviz.reduction import METHODS, Stage, method

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


@pytest.fixture
def blind_method():
    """Factory: (name, step, stages) -> a method inside the language model, every step-th token.

    Its choice depends on nothing, so that what it does can be computed in another way.
    """
    made = []

    def make(name, step, stages):
        def decide(signals, keep):
            return Reduction.select(np.arange(0, signals.n, step)[:keep], signals.n)

        # adaptive: of few tokens, every step-th are fewer than keep
        place = {"place": "language_model", "needs": ("llm_hidden",), "adaptive": True}
        method(name, title=name, schedule=lambda n, keep, layers: stages(keep), **place)(decide)
        made.append(name)
        return name

    yield make
    for name in made:
        METHODS.remove(name)


@pytest.fixture
def every_third(blind_method):
    """Such a method with two stages, before layers 1 and 2."""
    return blind_method("every-third", 3, lambda keep: [Stage(1, keep + 4), Stage(2, keep)])


@pytest.fixture
def every_other(blind_method):
    """The same with every other token: four are left of eight."""
    return blind_method("every-other", 2, lambda keep: [Stage(1, keep + 4), Stage(2, keep)])


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    """A real photograph."""
    return Image.fromarray(data.chelsea())
