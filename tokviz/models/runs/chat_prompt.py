"""The prompt as the model was taught to read it: chat template and image placeholders around it."""

from __future__ import annotations

from tokviz.models.loaded import Loaded


def render(loaded: Loaded, prompt: str, images: int) -> str:
    """Return the whole prompt text in the model's chat format, image placeholders included.

    Args:
        loaded: the model; one without a chat template gets its family's plain format.
        prompt: the user's words.
        images: how many images come before them.
    """
    content: list[dict[str, str]] = [{"type": "image"}] * images
    content = [*content, {"type": "text", "text": prompt}]
    if not has_template(loaded):
        return loaded.family.plain_prompt(loaded.processor, prompt, images)
    return loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )


def has_template(loaded: Loaded) -> bool:
    """Return whether the processor brings the chat format that its model was taught."""
    return getattr(loaded.processor, "chat_template", None) is not None


def template_notes(loaded: Loaded, images: int) -> tuple[str, ...]:
    """Return a note with the prompt that was used in place of a missing chat template.

    A family whose own prompt is bare (PaliGemma) needs none.
    """
    if has_template(loaded) or loaded.family.bare_prompt:
        return ()
    form = loaded.family.plain_prompt(loaded.processor, "{question}", images)
    return (
        "This checkpoint has no chat template, so the question was put in a plain form: "
        f"{form!r}. A model that was taught another form may answer worse: save its processor with "
        "its chat template.",
    )
