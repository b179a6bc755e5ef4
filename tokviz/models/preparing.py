"""From images and a prompt to model inputs, and from there through the vision tower, once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.images import open_image
from tokviz.models.record import Asked
from tokviz.models.run import Prepared
from tokviz.models.vision import TOWER_SIGNALS, Vision
from tokviz.models.vision import encode as run_tower
from tokviz.plans import Plan, Step
from tokviz.prompts import check_prompt

if TYPE_CHECKING:
    from tokviz.models.vlm import VLM


def prepare(vlm: VLM, images: Any, prompt: str) -> Prepared:
    """Turn images and prompt into model inputs, positions and a layout."""
    single = not isinstance(images, (list, tuple))
    opened = [open_image(image) for image in ([images] if single else images)]
    if not opened:
        raise InputError("give at least one image.")
    prompt = check_prompt(prompt, vlm.tokenizer.all_special_tokens)
    batch = vlm.family.process(vlm.processor, opened, render(vlm, prompt, len(opened)))
    dtype: Any = vlm.model.dtype  # the first floating one: rounded weights are integers
    inputs = {
        name: value.to(vlm.device, dtype) if value.is_floating_point() else value.to(vlm.device)
        for name, value in batch.items()
        if isinstance(value, torch.Tensor)
    }
    ids = inputs["input_ids"][0].cpu().numpy().astype(np.int32)
    layout = vlm.family.layout(vlm.model, vlm.processor, inputs, opened)
    tokens = tuple(vlm.tokenizer.convert_ids_to_tokens(ids.tolist()))
    own = own_words(vlm.tokenizer, prompt, ids, layout.position)
    asked = Asked(prompt, ids, tokens, layout, tuple(opened), own.numpy().astype(np.int32))
    return Prepared(asked, inputs, vlm.family.positions(vlm.model, inputs), own)


def render(vlm: VLM, prompt: str, images: int) -> str:
    """Return the whole prompt text in the model's chat format, image placeholders included."""
    content: list[dict[str, str]] = [{"type": "image"}] * images
    content = [*content, {"type": "text", "text": prompt}]
    if getattr(vlm.processor, "chat_template", None) is None:
        return vlm.family.plain_prompt(vlm.processor, prompt, images)
    return vlm.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )


def own_words(tokenizer: Any, prompt: str, ids: np.ndarray, visual: np.ndarray) -> torch.Tensor:
    """Find the rows of the user's words; all text after the image where they are not found."""
    own = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = int(visual[-1]) + 1 if len(visual) else 0
    for start in range(after, len(ids) - len(own) + 1):
        if ids[start : start + len(own)].tolist() == own:
            return torch.arange(start, start + len(own))
    return torch.arange(after, len(ids))


def encode(vlm: VLM, prepared: Prepared, plans: Sequence[Plan | None], capture: Capture) -> Vision:
    """Run the tower once, recording what the plans and the capture ask for."""
    asked = [
        (step, name)
        for plan in plans
        for step in (plan.steps if plan else ())
        if step.entry is not None
        for name in (*step.entry.needs, *step.entry.optional, *step.entry.fallbacks.values())
        if name in TOWER_SIGNALS
    ]
    wanted = {name for _, name in asked}
    wanted |= {name for plan in plans if plan for name in plan.recipe.needs}
    maps = {layer_of(step) for step, name in asked if name == "full_attn"}
    if capture.tower:
        wanted.add("cls_attn" if vlm.family.has_cls(vlm.model) else "recv_attn")
    began = time.perf_counter()
    vision = run_tower(
        vlm.family,
        vlm.model,
        prepared.inputs,
        prepared.asked.layout,
        wanted,
        norms=capture.tower,
        maps=None if None in maps else {layer for layer in maps if layer is not None},
    )
    vision.seconds = time.perf_counter() - began
    return vision


def layer_of(step: Step) -> int | None:
    """Return the tower layer that a step reads, by its option `layer`; None without one."""
    layer = step.entry.check_options(step.options).get("layer")  # type: ignore[union-attr]
    return layer if isinstance(layer, int) else None
