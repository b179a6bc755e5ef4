"""From images and a prompt to model inputs, and from these to one run of the vision tower."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.film import Film, is_film, open_film
from tokviz.images import open_image
from tokviz.models.answer_text import special_tokens
from tokviz.models.clock import now
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import PIXELS, Asked, Prepared
from tokviz.models.runs.chat_template import render, template_notes
from tokviz.models.runs.commands import checked
from tokviz.models.runs.own_words import own_rows
from tokviz.models.runs.processing import place, process
from tokviz.models.tower.record_signals import TOWER_SIGNALS
from tokviz.models.tower.vision import Vision
from tokviz.models.tower.vision import encode as run_tower
from tokviz.plans import Plan, Step


def prepare(loaded: Loaded, images: Any, prompt: str) -> Prepared:
    """Turn images, or a film, and prompt into model inputs, positions and a layout."""
    film, opened = open_all(images)
    prompt = checked(loaded, prompt)
    inputs = on_device(loaded, process(loaded, opened, prompt, film))
    ids = inputs["input_ids"][0].cpu().numpy().astype(np.int32)
    layout = place(loaded, inputs, opened, film)
    if film is not None:
        opened = opened[:: loaded.family.frames_per_image(loaded.model)]
    tokens = tuple(loaded.tokenizer.convert_ids_to_tokens(ids.tolist()))
    write = partial(render, loaded, images=len(opened), film=film is not None)
    text = loaded.answer_text()
    rows, notes = own_rows(loaded.tokenizer, write, prompt, ids, layout.position, text)
    chat = chat_marks(loaded, write(prompt))
    marks = mark_rows(loaded.tokenizer, ids, layout.position, chat)
    if film is not None:
        marks = np.union1d(marks, film_rows(loaded.tokenizer, write(prompt), ids, layout.position))
        notes = (*film_notes(loaded, film), *notes)
    marks = np.setdiff1d(marks, rows).astype(np.int32)
    notes = (*template_notes(loaded, len(opened), film is not None), *notes)
    asked = Asked(prompt, ids, tokens, layout, tuple(opened), rows, marks, notes, film)
    own = torch.from_numpy(rows.astype(np.int64))
    return Prepared(
        asked, inputs, loaded.family.positions(loaded.model, inputs), own, clip=loaded.clip
    )


def open_all(images: Any) -> tuple[Film | None, list[Image.Image]]:
    """Return a film, if one is given, and its frames; or None and the opened pictures.

    Raises:
        InputError: nothing is given, a film and pictures are mixed, or one cannot be used.
    """
    given = list(images) if isinstance(images, (list, tuple)) else [images]
    if not given:
        raise InputError("give at least one image.")
    if any(map(is_film, given)):
        if len(given) > 1:
            raise InputError(
                f"a film must come alone, got {len(given)} files: ask about it without others."
            )
        film = open_film(given[0])
        return film, list(film.frames)
    return None, [open_image(image) for image in given]


def on_device(loaded: Loaded, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return a processor's tensors on the model's device, pixels in its number type."""
    dtype: Any = loaded.model.dtype  # the first floating one: rounded weights are integers
    return {
        name: value.to(loaded.device, dtype)
        if value.is_floating_point() and PIXELS in name
        else value.to(loaded.device)  # seconds per frame pair stay exact
        for name, value in batch.items()
        if isinstance(value, torch.Tensor)
    }


def film_notes(loaded: Loaded, film: Film) -> tuple[str, ...]:
    """Return what a user should know about how the model gets a film."""
    if loaded.family.film_pixels is not None:
        return film.notes
    return (
        f"{loaded.family.title} takes no film: it got {len(film)} frames as that many pictures, "
        "without their times.",
        *film.notes,
    )


def film_rows(tokenizer: Any, text: str, ids: np.ndarray, visual: np.ndarray) -> np.ndarray:
    """Find the text that a processor writes before a film's first token: an introduction, a time.

    Args:
        tokenizer: the tokenizer.
        text: the whole prompt text with a placeholder for the film.
        ids: [s], the prompt.
        visual: [n], rows of the visual tokens, ascending.

    Returns:
        int64 [any], the rows from the first one that differs from the text's tokens.
    """
    plain = np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
    first = int(visual[0])
    begin = int(len(ids) > 0 and len(plain) > 0 and ids[0] != plain[0])  # a <bos> was added
    length = min(len(plain), first - begin)
    differs = np.flatnonzero(ids[begin : begin + length] != plain[:length])
    return np.arange(begin + int(differs[0]), first) if len(differs) else np.zeros(0, np.int64)


def chat_marks(loaded: Loaded, text: str) -> set[int]:
    """Return the special tokens of a prompt that have nothing to do with its pictures.

    Mistral's [INST] and Cohere's turns stand right before a picture and are none of its marks.

    Args:
        loaded: the model.
        text: the whole prompt text with placeholders for pictures.
    """
    family = loaded.family
    marks = [family.image_mark, *([family.film_mark] if family.film_pixels else [])]
    for mark in marks:
        text = text.replace(mark(loaded.processor), "")
    return set(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


def mark_rows(
    tokenizer: Any, ids: np.ndarray, visual: np.ndarray, chat: Collection[int] = ()
) -> np.ndarray:
    """Find the text that the processor adds around visual tokens: tile names, image markers.

    This is everything between the first and the last visual token (the user's words are never
    there), and the special tokens directly next to these two, except those of the chat.

    Args:
        tokenizer: the tokenizer.
        ids: [s], the prompt.
        visual: [n], rows of the visual tokens, ascending.
        chat: special tokens that begin and end texts and turns.

    Returns:
        int32 [y], ascending.
    """
    if not len(visual):
        return np.zeros(0, np.int32)
    special = set(special_tokens(tokenizer)).difference(chat)
    special -= {getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")}
    touching = np.isin(ids, list(special))
    first, last = int(visual[0]), int(visual[-1])
    while first > 0 and touching[first - 1]:
        first -= 1
    while last + 1 < len(ids) and touching[last + 1]:
        last += 1
    return np.setdiff1d(np.arange(first, last + 1), visual).astype(np.int32)


def encode(
    loaded: Loaded, prepared: Prepared, plans: Sequence[Plan | None], capture: Capture
) -> Vision:
    """Run the tower once and record the signals that the plans and the capture ask for."""
    began = now(loaded.device)
    vision = run_tower(
        loaded.family,
        loaded.model,
        prepared.inputs,
        prepared.asked.layout,
        asked_layers(loaded, plans, capture),
        norms=capture.tower,
    )
    vision.seconds = now(loaded.device) - began
    return vision


def asked_layers(
    loaded: Loaded, plans: Sequence[Plan | None], capture: Capture
) -> dict[str, set[int] | None]:
    """Return which of TOWER_SIGNALS to record, and in which layers; None = in all.

    Methods inside the tower are left out: they get their signals in their own run of the tower.
    """
    found: dict[str, set[int] | None] = {}

    def ask(name: str, layers: set[int] | None) -> None:
        known = found.get(name, set())
        found[name] = None if layers is None or known is None else known | layers

    for plan in filter(None, plans):
        for name in plan.recipe.needs:
            ask(name, None)
        for step in plan.steps:
            entry = step.entry
            if entry is None or step.place == "tower":
                continue
            if "llm_tower_map" in entry.needs:
                ask("full_attn", {-2})
            for name in (*entry.needs, *entry.optional, *entry.fallbacks.values()):
                if name in TOWER_SIGNALS:
                    ask(name, layers_of(step, loaded.family.feature_layer(loaded.model)))
    if capture.tower and loaded.family.has_cls(loaded.model):
        ask("cls_attn", None)
    elif capture.tower:
        feature_layer = loaded.family.feature_layer(loaded.model)
        ask("recv_attn", None if capture.tower_layers else {feature_layer})
    return found


def layers_of(step: Step, feature_layer: int) -> set[int] | None:
    """Return the tower layers that a step reads, negative ones from the end; None = all.

    A method names them by its options `layer` and `..._layer`. For a method inside the language
    model these are layers of the language model, and its tower signals come from the feature layer.
    """
    if step.place == "language_model":
        return {feature_layer}
    options = step.entry.check_options(step.options)  # type: ignore[union-attr]
    layers = [v for k, v in options.items() if k == "layer" or k.endswith("_layer")]
    if not layers or not all(isinstance(layer, int) for layer in layers):
        return None
    return set(layers)
