"""The prompt in the model's chat format: chat template and image placeholders around it."""

from __future__ import annotations

from tokviz.models.loaded import Loaded


def render(loaded: Loaded, prompt: str, images: int) -> str:
    """Return the whole prompt text in the model's chat format, image placeholders included.

    Args:
        loaded: the model; without a chat template its family's plain format is used.
        prompt: the user's words.
        images: how many images come before them.
    """
    content: list[dict[str, str]] = [{"type": "image"}] * images
    content = [*content, {"type": "text", "text": prompt}]
    if getattr(loaded.processor, "chat_template", None) is None:
        return loaded.family.plain_prompt(loaded.processor, prompt, images)
    return loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
