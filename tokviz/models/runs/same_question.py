"""Whether a stored run, the pictures that are given beside it, and a model belong together.

A trace holds the sizes of its pictures and a JPEG preview of each, facts about its model, the norm
of every patch's state in the vision tower, and the probability of each answer token. Another
picture of the same size gives the same prompt, and so does another model with the same tokenizer:
only these values tell them apart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tokviz.errors import InputError
from tokviz.images import PREVIEW_SIDE, preview_jpeg
from tokviz.trace import Trace

CELLS = 16
"""Pictures are compared as so many rows and columns of mean colours."""
ALLOWED = 12.0
"""Of 255: what JPEG and another version of its encoder change in the mean of a cell, at most."""
DETAIL = 0.5
"""Share of the variance of a picture's pixels that JPEG changes at most; another picture with the
same mean colours, such as other noise, changes all of it or more."""
FLAT = 6.0
"""Of 255: a standard deviation of pixels below which a picture has no detail to compare."""
FACTS = {
    "layers": "layers",
    "heads": "attention heads",
    "hidden_size": "values in a state",
    "tower_layers": "layers in the vision tower",
    "vocabulary": "tokens in the vocabulary",
    "parameters": "parameters",
}
"""Facts about a model that are compared, in words."""
EXACT, ROUNDED = 0.002, 0.1
"""Largest relative difference of tower states with float32 on both sides, and otherwise; the second
also where the picture's pixels are not exactly those of the run, as after JPEG."""
ANSWER_EXACT, ANSWER_ROUNDED = 0.01, 0.1
"""The same for the mean difference of the probabilities of the answer's tokens."""


def check_pictures(trace: Trace, pictures: Sequence[Image.Image]) -> None:
    """Raise InputError unless these are the pictures of a run, as far as it holds them.

    Args:
        trace: a finished run.
        pictures: as opened by `open_image`, in the order of the prompt.
    """
    sizes = tuple(tuple(size) for size in trace.layout.sizes)
    given = tuple(picture.size for picture in pictures)
    if sizes != given:
        raise InputError(
            f"the trace was made with pictures of {_words(sizes)} pixels, got {_words(given)}: "
            "give the pictures that it was made with."
        )
    if same_pixels(trace, pictures):
        return
    for number, (jpeg, picture) in enumerate(zip(trace.images, pictures, strict=False)):
        if difference(jpeg, picture) > ALLOWED or detail_changed(jpeg, picture) > DETAIL:
            which = f"picture {number + 1}" if len(pictures) > 1 else "the picture"
            raise InputError(
                f"{which} is not the one that the trace was made with: same size, other content. "
                "Give that one, or leave the trace out to run the model anew."
            )


def difference(jpeg: bytes, picture: Image.Image) -> float:
    """Return the largest difference of mean colours, 0 to 255, between a preview and a picture."""
    with Image.open(io.BytesIO(jpeg)) as preview:
        ours = _cells(preview.convert("RGB"))
    return float(np.abs(ours - _cells(picture)).max())


def detail_changed(jpeg: bytes, picture: Image.Image) -> float:
    """Return which share of a preview's variance (of grey values) a picture of its size changes."""
    with Image.open(io.BytesIO(jpeg)) as preview:
        ours = np.asarray(preview.convert("L"), np.float64)
        shown = picture.convert("RGB").resize(preview.size, Image.Resampling.LANCZOS)
    theirs = np.asarray(shown.convert("L"), np.float64)
    spread = max(ours.std(), theirs.std())
    return 0.0 if spread < FLAT else float(((ours - theirs).std() / spread) ** 2)


def check_model(trace: Trace, info: Mapping[str, Any]) -> None:
    """Raise InputError unless a model has the facts that a run's model had.

    Args:
        trace: a finished run; facts that it does not hold are not compared.
        info: of the model, `Loaded.info`.
    """
    for name, words in FACTS.items():
        theirs, ours = trace.model.get(name), info.get(name)
        if None not in (theirs, ours) and theirs != ours:
            raise InputError(
                f"the trace was made with another model: {trace.model.get('name')!s:.60}, with "
                f"{theirs} {words}; this one, {info.get('name')!s:.60}, has {ours}. Load the model "
                "that made it."
            )


def check_states(trace: Trace, norms: np.ndarray, info: Mapping[str, Any], same: bool) -> None:
    """Raise InputError unless the vision tower sees what it saw in a run.

    Args:
        trace: a finished run; one without `feature_norm` is not compared.
        norms: [u, n], L2 norm of each visual token's patches after each tower layer, now.
        info: of the model.
        same: whether the picture's pixels are exactly those of the run.
    """
    if "feature_norm" not in trace:
        return
    before = trace["feature_norm"]
    far = np.inf if before.shape != norms.shape else _apart(before, norms)
    if far > (EXACT if same and _in_float32(trace, info) else ROUNDED):
        found = "has another shape" if far == np.inf else f"differs by {far:.1%}"
        raise InputError(
            f"the trace was made with another model or other settings of its processor: what the "
            f"vision tower makes of the same picture {found}. Load the model that made it."
        )


def check_answer(trace: Trace, own: np.ndarray, info: Mapping[str, Any], same: bool) -> None:
    """Raise InputError unless a model gives a run's answer the probability that it had.

    Args:
        trace: a finished run without reduction and mitigation.
        own: [t], probability of each token of its answer, now.
        info: of the model.
        same: as for `check_states`.
    """
    far = float(np.abs(trace["answer_prob"] - own).mean())
    if far > (ANSWER_EXACT if same and _in_float32(trace, info) else ANSWER_ROUNDED):
        raise InputError(
            f"the trace was made with another model, or with other weights: the probabilities of "
            f"its answer's tokens differ by {far:.2f} in the mean. Load the model that made it."
        )


def same_pixels(trace: Trace, pictures: Sequence[Image.Image]) -> bool:
    """Return whether pictures give the previews of a run, to the byte."""
    sides = (PREVIEW_SIDE, PREVIEW_SIDE // 2)
    made = (tuple(preview_jpeg(one, side) for one in pictures) for side in sides)
    return any(one == trace.images for one in made)


def _apart(before: np.ndarray, norms: np.ndarray) -> float:
    """Return the largest difference of any layer, each the mean over tokens, relative."""
    scale = np.maximum(np.abs(before).mean(1), np.finfo(np.float32).tiny)
    return float((np.abs(before - norms).mean(1) / scale).max(initial=0.0))


def _in_float32(trace: Trace, info: Mapping[str, Any]) -> bool:
    return trace.model.get("dtype") == info.get("dtype") == "float32"


def _cells(picture: Image.Image) -> np.ndarray:
    """Return float64 [rows, columns, 3], mean colours."""
    small = picture.convert("RGB").resize((CELLS, CELLS), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def _words(sizes: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{width} × {height}" for width, height in sizes) or "no"
