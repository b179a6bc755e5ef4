"""A LLaVA of the real classes, tiny and random, saved to a folder and loaded from it."""

import pytest
import torch
from PIL import Image
from skimage import data
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

import tokviz

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with no merges: every text has an encoding."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(SPECIAL + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )


def tiny_llava(seed: int = 0) -> LlavaForConditionalGeneration:
    """Random weights, scaled so that attention and answers are not all alike."""
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=48,
            patch_size=8,
            projection_dim=32,
        ),
        text_config=LlamaConfig(
            vocab_size=300,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=3,
            max_position_embeddings=512,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=3,
        ),
        image_token_id=4,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.6 / parameter.shape[-1] ** 0.5)
    return model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A saved checkpoint, as a user would have it on disk."""
    path = tmp_path_factory.mktemp("tiny-llava")
    model = tiny_llava()
    model.generation_config.eos_token_id = 2
    model.save_pretrained(path)
    LlavaProcessor(
        CLIPImageProcessor(
            size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, do_center_crop=True
        ),
        byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=None,
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def vlm(folder):
    """The checkpoint, loaded."""
    return tokviz.load(folder)


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    """A real photograph."""
    return Image.fromarray(data.chelsea())
