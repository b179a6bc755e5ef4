"""What the model says of each frame or tile alone: is it enough to answer the question?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from tokviz.capture import Capture
from tokviz.errors import MissingSignal, TokvizError
from tokviz.interruption import Interrupted
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.preparing import encode, prepare
from tokviz.models.runs.teacher_forcing import TeacherForcing
from tokviz.plans import Plan

QUESTION = (
    "{}\nDoes the image contain sufficient information to answer the given question? "
    "A. yes, B. no\nAnswer with the option's letter directly."
)
"""As QuoTA asks it where it names no objects."""


def with_asked_frames(
    loaded: Loaded, prepared: Prepared, plans: Sequence[Plan | None], strict: bool
) -> Prepared:
    """Return the question with the signal `asked_yes`, if a plan needs it.

    Raises:
        TokvizError: with `strict`, it cannot be made here; else it is left out.
        Interrupted: the run was stopped between two layers of a question.
    """
    steps = [step for plan in plans if plan for step in plan.steps]
    wanted = any(step.entry is not None and "asked_yes" in step.entry.needs for step in steps)
    if prepared.asked_yes is not None or not wanted:
        return prepared
    began = time.perf_counter()
    try:
        found = asked_yes(loaded, prepared)
    except Interrupted:
        raise
    except TokvizError:
        if strict:
            raise
        return prepared
    return replace(prepared, asked_yes=(found, time.perf_counter() - began))


def asked_yes(loaded: Loaded, prepared: Prepared) -> np.ndarray:
    """Return for each visual token the probability of A when its frame or tile alone is asked, [n].

    Raises:
        MissingSignal: the model's tokenizer has no token for the letter A.
    """
    layout, letters = prepared.asked.layout, letter_tokens(loaded)
    pictures = {number: picture_of(prepared, number) for number in range(len(layout.tiles))}
    scores = np.array([yes(loaded, p, prepared.asked.prompt, letters) for p in pictures.values()])
    return scores[layout.tile].astype(np.float32)


def picture_of(prepared: Prepared, tile: int) -> Image.Image:
    """Return the part of its picture that a tile shows; of a frame, or a lone tile, the whole."""
    tiles, own = prepared.asked.layout.tiles, prepared.asked.layout.tiles[tile]
    picture = prepared.asked.images[own.image]
    if own.role == "thumbnail" or sum(one.image == own.image for one in tiles) == 1:
        return picture
    x0, y0, x1, y1 = (round(edge) for edge in own.box)
    box = (max(x0, 0), max(y0, 0), min(x1, picture.width), min(y1, picture.height))
    return picture.crop(box) if box[0] < box[2] and box[1] < box[3] else picture


def yes(loaded: Loaded, picture: Image.Image, question: str, letters: list[int]) -> float:
    """Return the probability of the letter A after one picture and the question about it.

    Args:
        loaded: the model.
        picture: the frame or tile.
        question: the user's.
        letters: tokens of the letter, of `letter_tokens`.
    """
    with loaded.guarded():
        prepared = prepare(loaded, picture, QUESTION.format(question))
        features = encode(loaded, prepared, [None], Capture.nothing()).features
        reading = TeacherForcing(loaded, prepared, np.zeros(1))
        logits = reading.prompt([np.arange(prepared.asked.layout.n)], features).logits[0]
        return float(logits.float().softmax(-1)[letters].sum())


def letter_tokens(loaded: Loaded) -> list[int]:
    """Return the ids of the tokens that write the letter A at the beginning of an answer.

    Behind "Assistant:" an answer begins with a space, behind a line break it does not.
    """
    tokenizer = loaded.tokenizer
    written = [tokenizer.encode(text, add_special_tokens=False) for text in ("A", " A")]
    alone = (ids[0] for ids in written if len(ids) == 1)
    found = [int(i) for i in alone if tokenizer.decode([i]).strip().upper() == "A"]
    if not found:
        raise MissingSignal(
            "QuoTA asks the model about each frame with A for yes, and this model's tokenizer has "
            "no token for the letter A. Choose another method for films, such as dycoke."
        )
    return list(dict.fromkeys(found))
