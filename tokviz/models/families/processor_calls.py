"""How a family calls its processor: the texts, pictures and films that become model inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from torch import nn

from tokviz.film import Film
from tokviz.models.families.film_pixels import FilmPixels, call_with_film


class ProcessorCalls:
    """The part of `Family` that deals with the processor alone; families override what differs."""

    film_pixels: type[FilmPixels] | None = None
    "How frames become pixels where the model takes film; None = it gets them as pictures."

    def process(self, processor: Any, images: Sequence[Image.Image], text: str) -> Mapping:
        """Return the model inputs of one prompt and its images."""
        return self.call(processor, list(images), text)

    def call(self, processor: Any, images: Sequence[Any], text: str) -> Mapping:
        """Call the processor, without adding a second <bos> to a text that begins with one.

        The chat templates of Gemma 3 and Llama 3 write <bos>, and their tokenizers would add
        another; transformers' apply_chat_template(tokenize=True) has the same rule.
        """
        return processor(
            images=images, text=text, return_tensors="pt", **self.bos_once(processor, text)
        )

    def bos_once(self, processor: Any, text: str) -> dict[str, bool]:
        """Return the argument that keeps a processor from adding a second <bos>."""
        bos = processor.tokenizer.bos_token
        written = bool(bos) and text.startswith(bos)
        return {"add_special_tokens": False} if written else {}

    def process_film(self, processor: Any, film: Film, text: str) -> Mapping:
        """Return the model inputs of one prompt and a film; its frames as pictures by default."""
        if self.film_pixels is None:
            return self.process(processor, film.frames, text)
        pixels = self.film_pixels(film, processor)
        return call_with_film(processor, pixels, text, **self.bos_once(processor, text))

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return what processor and model must have alike: name, the processor's, the model's.

        Only asked where they were found not to fit together, to say why.
        """
        return []

    def plain_prompt(
        self, processor: Any, prompt: str, images: int, marks: str | None = None
    ) -> str:
        """Return the whole prompt text for a processor without a chat template.

        Args:
            processor: the processor.
            prompt: the question.
            images: how many there are.
            marks: what stands for them; default one placeholder each.
        """
        shown = self.image_mark(processor) * images if marks is None else marks
        return f"USER: {shown}\n{prompt} ASSISTANT:"

    def image_mark(self, processor: Any) -> str:
        """Return the placeholder of one image in a prompt without a chat template."""
        return getattr(processor, "image_token", "<image>")

    def film_mark(self, processor: Any) -> str:
        """Return the placeholder of a film in a prompt without a chat template."""
        return getattr(processor, "video_token", "<video>")

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Set the processor so that it makes at most so many visual tokens of a picture.

        Where its smallest setting makes more, that one is set.

        Returns:
            Whether a setting was lowered; False also where every picture gives as many tokens.
        """
        return False
