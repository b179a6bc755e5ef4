"""The prompt in the model's chat format: chat template and image placeholders around it."""

from __future__ import annotations

from tokviz.errors import ModelError
from tokviz.models.foreign_errors import first_line
from tokviz.models.loaded import Loaded

PLACEHOLDER = "tokviz0question0tokviz"
"""What stands in place of a question where only the words around it are looked at."""


def render(loaded: Loaded, prompt: str, images: int, film: bool = False) -> str:
    """Return the whole prompt text in the model's chat format, image placeholders included.

    Args:
        loaded: the model; without a chat template its family's plain format is used.
        prompt: the user's words.
        images: how many images come before them.
        film: the images are frames; a family that takes film gets one placeholder for all.

    Raises:
        ModelError: the checkpoint's chat template cannot be used.
    """
    film = film and loaded.family.film_pixels is not None
    if not loaded.uses_template:
        family, processor = loaded.family, loaded.processor
        marks = {"marks": family.film_mark(processor)} if film else {}
        return family.plain_prompt(processor, prompt, images, **marks)
    shown: list[dict[str, str]] = [{"type": "video"}] if film else [{"type": "image"}] * images
    content = [*shown, {"type": "text", "text": prompt}]
    try:
        return loaded.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
    except Exception as error:  # a template is a program that somebody saved with the checkpoint
        raise ModelError(unusable(template_fault(loaded, error))) from error


def check_template(loaded: Loaded, images: int, film: bool = False) -> None:
    """Raise ModelError unless what is asked reaches the model through the chat template."""
    if not loaded.uses_template:
        return
    # a template may change letters; one that leaves the question out writes the same for any two
    other = PLACEHOLDER[::-1]
    if render(loaded, PLACEHOLDER, images, film) == render(loaded, other, images, film):
        raise ModelError(unusable("it leaves the question out"))


def template_fault(loaded: Loaded, error: Exception) -> str:
    """Return why a chat template failed."""
    template = loaded.processor.chat_template
    if isinstance(template, dict):
        names = ", ".join(sorted(template))[:100]
        return f"there are several ({names}), and none of them has the name 'default'"
    return f"{type(error).__name__}: {first_line(error)}"


def unusable(reason: str) -> str:
    """Return the sentence about a chat template, which a person can repair or leave out."""
    return (
        f"the chat template of this checkpoint cannot be used: {reason}. It must take one turn of "
        'the user whose content is a list of {"type": "image"} and {"type": "text"} (for a film '
        '{"type": "video"} in place of images); give another '
        "one as processor.chat_template, or None for a plain prompt."
    )


def template_notes(loaded: Loaded, images: int, film: bool = False) -> tuple[str, ...]:
    """Return a note with the prompt that was used in place of a missing chat template.

    A family whose own prompt is bare (PaliGemma) needs none.
    """
    if loaded.uses_template or loaded.family.bare_prompt:
        return ()
    form = render(loaded, "{question}", images, film)
    return (
        "This checkpoint has no chat template, so the question was put in a plain form: "
        f"{form!r}. A model that was taught another form may answer worse: save its processor with "
        "its chat template.",
    )
