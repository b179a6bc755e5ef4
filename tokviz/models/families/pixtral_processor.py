"""The processor of Pixtral and Mistral 3 for machines without torchvision.

transformers has one, in a file that imports torchvision for a count that is not needed here. This
one writes the same prompts: a placeholder per visual token, a break behind every row of them, and
behind the last row an end. `processors.py` uses it where torchvision is missing.
"""

from __future__ import annotations

from typing import Any

from transformers.processing_utils import ProcessorMixin


class PixtralProcessor(ProcessorMixin):
    """An image processor (the PIL one) and a tokenizer; settings as in transformers' class."""

    text_kwargs = images_kwargs = {"return_tensors": "pt"}

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
        **kwargs: Any,
    ) -> None:
        """Take over the parts and the settings, which processor_config.json names in these words.

        Args:
            image_processor: prepares the pixels.
            tokenizer: knows the three tokens below.
            patch_size: pixels of a patch's side.
            spatial_merge_size: patches per side of a visual token.
            chat_template: of the checkpoint.
            image_token: stands for an image in a prompt, and for each of its visual tokens.
            image_break_token: written behind a row.
            image_end_token: written behind the last row.
            **kwargs: what else the file has; not used.
        """
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size, self.spatial_merge_size = patch_size, spatial_merge_size
        self.image_token = image_token
        self.image_break_token, self.image_end_token = image_break_token, image_end_token
        self.image_token_ids = tokenizer.convert_tokens_to_ids(
            [image_token, image_break_token, image_end_token]
        )
        self.image_token_id, self.image_break_token_id, self.image_end_token_id = (
            self.image_token_ids
        )

    @property
    def model_input_names(self) -> list[str]:
        """Names of the arrays that a call returns."""
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names]

    def _process_images(self, images: Any, **given: Any) -> Any:
        """Have pictures resized to whole visual tokens."""
        given["patch_size"] = self.patch_size * self.spatial_merge_size
        return super()._process_images(images, **given)

    def replace_image_token(self, image_inputs: dict, image_idx: int, **given: Any) -> str:
        """Return the text that stands for a picture: its rows, each with its break."""
        side = self.patch_size * self.spatial_merge_size
        rows, cols = (int(length) // side for length in image_inputs["image_sizes"][image_idx])
        row = self.image_token * cols
        return self.image_break_token.join([row] * rows) + self.image_end_token
