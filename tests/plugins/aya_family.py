"""Aya Vision as somebody else's package would add it: SigLIP, pixel shuffle, Cohere2.

Cohere's decoder blocks are parallel: attention and MLP read the same norm of the block's input, so
that there is no state between the two, and some signals of tokviz cannot be had.
"""

import numpy as np
import torch
from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    Cohere2Config,
    SiglipVisionConfig,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)

from tests.models.tiny import byte_tokenizer, shake, text_sizes
from tokviz.models.families.family import family
from tokviz.models.families.internvl import tiled
from tokviz.models.families.llava import Llava
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import PATCH, Layout

MARKS = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>")


@family
class AyaVision(Llava):
    """SigLIP tower, pixel shuffle, a gated projector, Cohere2; tiles and a thumbnail last."""

    name = "aya_vision"
    title = "Aya Vision"
    model_types = ("aya_vision",)

    def encoder_outputs(self, features):
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])

    def settings(self, model, processor):
        return []

    def image_mark(self, processor):
        return processor.image_token

    def layout(self, model, processor, inputs, images):
        vision, cut = model.config.vision_config, processor.image_processor
        side = vision.image_size // vision.patch_size // model.config.downsample_factor
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        position = np.flatnonzero(is_visual).astype(np.int32)
        target = cut.size["height"], cut.size["width"]
        tiles = []
        for number, (width, height) in enumerate(image.size for image in images):
            cols, rows = get_optimal_tiled_canvas(
                (height, width), target, cut.min_patches, cut.max_patches
            )
            count = cols * rows + 1 if cols * rows > 1 else 1
            tiles += tiled(cut, number, (width, height), side, count * side * side)
        row, col = np.divmod(np.arange(side * side, dtype=np.int16), np.int16(side))
        return Layout(
            sizes=tuple(image.size for image in images),
            tiles=tuple(tiles),
            tile=np.repeat(np.arange(len(tiles), dtype=np.int16), side * side),
            row=np.tile(row, len(tiles)),
            col=np.tile(col, len(tiles)),
            kind=np.full(len(position), PATCH, np.uint8),
            position=position,
        )

    def sources(self, model, inputs, layout):
        return Sources.grid(layout, model.config.downsample_factor)

    def pre_features(self, flat, sources):
        """Return the states of each token's four patches side by side."""
        return flat[torch.as_tensor(sources.index)].flatten(1)

    def project(self, model, pre):
        """Return what the projector makes of states that are joined already."""
        own = model.model.multi_modal_projector
        states, gate = own.linear_1(own.layernorm(pre)).chunk(2, dim=-1)
        return own.linear_2(own.act(gate) * states)

    def tower_leave(self, model, squares):
        return squares.flatten(1)


def tiny():
    """Return (model, processor): 6 x 6 patches to 3 x 3 tokens, up to six tiles."""
    tower = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        image_size=48, patch_size=8,
    )  # fmt: skip
    text = text_sizes(vocab_size=320, num_attention_heads=6, num_key_value_heads=3)
    config = AyaVisionConfig(
        vision_config=tower, text_config=Cohere2Config(**text, sliding_window=64),
        image_token_index=7, downsample_factor=2, vision_feature_layer=-1,
        vision_feature_select_strategy="full", alignment_intermediate_size=64,
    )  # fmt: skip
    processor = AyaVisionProcessor(
        GotOcr2ImageProcessorPil(
            size={"height": 48, "width": 48}, crop_to_patches=True, max_patches=6
        ),
        byte_tokenizer(*MARKS),
        patch_size=8,
        img_size=48,
        downsample_factor=2,
    )
    torch.manual_seed(0)
    model = shake(AyaVisionForConditionalGeneration(config))
    model.generation_config.eos_token_id = None
    return model, processor
