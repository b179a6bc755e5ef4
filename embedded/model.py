"""What is the model made of? The configuration of a LLaVA small enough for a git repository."""

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from embedded.world import SIDE

PATCH = 16
GRID = SIDE // PATCH
TOKENS = GRID * GRID
"""Visual tokens per picture; the vision tower sees one more, [CLS]."""
FEATURE_LAYER = -2
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : "
    "{% if message['content'] is string %}{{ message['content'] }} "
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image> {% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def build_config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """Describe the tower (6 layers, heads of 32), the projector and the decoder (6 layers)."""
    vision = CLIPVisionConfig(
        image_size=SIDE, patch_size=PATCH, hidden_size=192, intermediate_size=768,
        num_hidden_layers=6, num_attention_heads=6, projection_dim=192, hidden_act="silu",
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=6,
        num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=512,
        tie_word_embeddings=True, initializer_range=0.05, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id,
        vision_feature_layer=FEATURE_LAYER, vision_feature_select_strategy="default",
        image_seq_length=TOKENS, tie_word_embeddings=True,
    )  # fmt: skip


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlavaForConditionalGeneration:
    """Make the model with random weights, in float32."""
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config(tokenizer))
    start_positions(model)
    model.generation_config.update(
        do_sample=False, max_new_tokens=48, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return model


@torch.no_grad()
def start_positions(model: LlavaForConditionalGeneration) -> None:
    """Start the tower from calm patch embeddings and 2-D waves as position embeddings.

    Left at their defaults, positions are a hundred times weaker than flat background colour,
    and "where" takes the tower thousands of steps to find.
    """
    embeddings = model.model.vision_tower.embeddings
    width = embeddings.position_embedding.weight.shape[1]
    spot = torch.arange(GRID) / GRID * 2 * torch.pi
    turns = torch.arange(1, width // 4 + 1) ** 0.6 / 2
    line = torch.cat([(spot[:, None] * turns).sin(), (spot[:, None] * turns).cos()], 1)
    row, column = line[:, None].expand(-1, GRID, -1), line[None].expand(GRID, -1, -1)
    waves = torch.cat([row, column], -1).flatten(0, 1)
    embeddings.position_embedding.weight[1:] = 0.7 * waves
    embeddings.patch_embedding.weight.normal_(0, 0.015)


def build_processor(
    tokenizer: PreTrainedTokenizerFast, patch: int = PATCH, template: str = TEMPLATE
) -> LlavaProcessor:
    """Make the processor: shortest edge to 192, centre crop, CLIP's mean and deviation."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=patch,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=template,
    )  # fmt: skip
