"""Which model does a benchmark measure, and what may it be asked?

Pages name the model that they measured by its facts. Scenes come from the world that the model was
trained on (`embedded.world.world_of`), and questions are typed as visitors type them.
"""

import argparse
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from embedded.held_out import FIRST
from embedded.questions import Question
from embedded.wording import typed
from embedded.world import WORLDS, Scene, scene, world_of

DESCRIBE = "Describe the image."


@dataclass(frozen=True)
class Facts:
    """What tells one measured model from another."""

    name: str
    """As it was loaded; of a folder its last part."""
    parameters: int
    tokens: int
    """Visual tokens of one scene."""
    layers: int
    """Of the language model."""
    weights: str
    """The first 12 digits of a SHA-256 over all parameters."""
    world: str
    """A key of `embedded.world.WORLDS`: where its scenes come from."""

    def __str__(self) -> str:
        named = "the embedded model" if self.name == "embedded" else self.name
        return (
            f"{named} ({self.parameters / 1e6:.1f} M parameters, {self.tokens} visual tokens per "
            f"picture, {self.layers} layers, weights `{self.weights}`)"
        )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the argument --model."""
    parser.add_argument(
        "--model", default="embedded", help="embedded, a folder or a Hub id (default: embedded)"
    )


def facts(vlm: Any) -> Facts:
    """Return the facts of a loaded model."""
    view, folder = scenes(vlm, 1)[0], Path(vlm.name)
    with vlm.guarded():
        tokens = vlm.prepare(view.image, DESCRIBE).asked.layout.n
    world = world_of(vlm.model.config)
    return Facts(
        folder.name if folder.is_dir() else vlm.name,
        vlm.info["parameters"],
        tokens,
        vlm.info["layers"],
        weights(vlm.model),
        next(name for name, one in WORLDS.items() if one is world),
    )


def weights(model: torch.nn.Module) -> str:
    """Return the first 12 digits of a SHA-256 over names and values of all parameters."""
    digest = hashlib.sha256()
    for name, values in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(values.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def scenes(vlm: Any, count: int, first: int = FIRST) -> list[Scene]:
    """Return test scenes by number, of the world that the model was trained on."""
    world = world_of(vlm.model.config)
    return [scene(number, "test", world=world) for number in range(first, first + count)]


def as_typed(question: Question) -> Question:
    """Return a question with its text as visitors type it."""
    return replace(question, text=typed(question.text))
