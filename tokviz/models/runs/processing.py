"""Calling a checkpoint's processor, and saying where it and the model do not fit together.

A processor writes one placeholder per visual token into the prompt, by settings of its own. Older
and hand-made checkpoints have settings that another model would need; transformers then fails deep
inside, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from tokviz.errors import ModelError, TokvizError
from tokviz.film import Film
from tokviz.models.foreign_errors import first_line
from tokviz.models.loaded import Loaded
from tokviz.models.out_of_memory import is_out_of_memory
from tokviz.models.runs.chat_template import check_template, render, unusable
from tokviz.trace.layout import Layout


def process(
    loaded: Loaded, images: Sequence[Image.Image], prompt: str, film: Film | None = None
) -> Mapping:
    """Return the model inputs of one question and its images, or its film.

    Raises:
        ModelError: the chat template or the processor cannot be used; the message says why.
    """
    family, whole = loaded.family, film is not None
    check_template(loaded, len(images), whole)
    text = render(loaded, prompt, len(images), whole)
    one = whole and family.film_pixels is not None
    mark = family.film_mark(loaded.processor) if one else family.image_mark(loaded.processor)
    places = 1 if one else len(images)
    try:
        if film is not None:
            return family.process_film(loaded.processor, film, text)
        return family.process(loaded.processor, images, text)
    except TokvizError:
        raise
    except Exception as error:  # the processor's own code, on settings that anybody may have saved
        if is_out_of_memory(error):
            raise
        if text.count(mark) < places and loaded.uses_template:
            why = f"it writes no place for a {'film' if one else 'picture'} ({mark})"
            raise ModelError(unusable(why)) from error
        reason = _differing(loaded) or first_line(error)
        raise ModelError(f"this model's processor cannot be used: {reason}.") from error


def place(
    loaded: Loaded,
    inputs: Mapping[str, Any],
    images: Sequence[Image.Image],
    film: Film | None = None,
) -> Layout:
    """Return where every visual token lies; check that there are as many as the model makes.

    Raises:
        ModelError: the processor wrote another number of placeholders into the prompt.
    """
    ids = inputs["input_ids"][0]
    family, model = loaded.family, loaded.model
    wrote = int((ids == family.visual_token_id(model, ids)).sum())
    try:
        if film is not None:
            layout = family.film_layout(model, loaded.processor, inputs, film)
        else:
            layout = family.layout(model, loaded.processor, inputs, images)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ModelError(_unlike(loaded, f"it writes {wrote} placeholders")) from error
    if wrote != layout.n:
        counts = f"it writes {wrote} placeholders for visual tokens, and the model makes {layout.n}"
        raise ModelError(_unlike(loaded, counts))
    return layout


def _unlike(loaded: Loaded, counts: str) -> str:
    differing = _differing(loaded)
    return (
        f"this model and its processor do not fit together: {counts}"
        f"{' (' + differing + ')' if differing else ''}. Correct the processor's settings."
    )


def _differing(loaded: Loaded) -> str:
    """Return the settings in which processor and model differ, as a clause; "" where none does."""
    unlike = [
        f"{name} is {theirs!r} in the processor and {ours!r} by the model"
        for name, theirs, ours in loaded.family.settings(loaded.model, loaded.processor)
        if theirs != ours
    ]
    return "; ".join(unlike)[:300]
