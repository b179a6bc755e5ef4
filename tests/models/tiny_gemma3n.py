"""A tiny model of Gemma 3n around a test's tower, see `stand_in_timm.py`."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3nAudioConfig,
    Gemma3nAudioFeatureExtractor,
    Gemma3nConfig,
    Gemma3nForConditionalGeneration,
    Gemma3nProcessor,
    Gemma3nTextConfig,
    Gemma3nVisionConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.models.stand_in_timm import NAME
from tests.models.tiny import Tiny, text_sizes

PLAIN = ("<pad>", "<eos>", "</s>", "<bos>", "<unk>", "<boi>", "<boa>")
"Special tokens in the vocabulary of the text; </s> has id 2, at which the tests' answers end."
VISION, AUDIO = ("<eoi>", "<image_soft_token>"), ("<eoa>", "<audio_soft_token>")
"Special tokens behind it, which have embeddings of their own and no input of the layers."
ROLES = ("boi_token", "eoi_token", "image_token", "boa_token", "eoa_token", "audio_token")
SPECIAL = ("<boi>", *VISION, "<boa>", *AUDIO)
MORE = 8
"Places of the vocabulary of pictures, and of that of sound."


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes in the order of Gemma 3n's vocabulary: text, then pictures, then sound."""
    text = [*PLAIN, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: i for i, token in enumerate(text)}
    vocabulary |= {token: len(text) + i for i, token in enumerate(VISION)}
    vocabulary |= {token: len(text) + MORE + i for i, token in enumerate(AUDIO)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=list(SPECIAL),
        model_specific_special_tokens=dict(zip(ROLES, SPECIAL, strict=True)),
    )


def gemma3n(**more) -> tuple:
    """6 x 6 tokens; nine layers, of which the last three read the keys of layers 4 and 5.

    Every state has four versions; the MLPs of the first two layers keep the largest 5 %.
    """
    words = tokenizer()
    plain = len(PLAIN) + 256
    text = text_sizes(num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=40)
    text |= {"num_hidden_layers": 9, "num_kv_shared_layers": 3, "vocab_size": plain + 2 * MORE}
    text |= {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 3}
    text |= {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": plain}
    text |= {"activation_sparsity_pattern": [0.95] * 2 + [0.0] * 7, "laurel_rank": 4}
    text |= {"pad_token_id": 0, "bos_token_id": 3}
    vision = {"architecture": NAME, "hidden_size": 32, "model_args": {"width": 32, "patch": 8}}
    sound = {"hidden_size": 32, "conf_num_hidden_layers": 1, "conf_num_attention_heads": 4}
    sound |= {"sscp_conv_channel_size": (8, 4)}
    places = {f"{role}_id": getattr(words, f"{role}_id") for role in ROLES}
    config = Gemma3nConfig(
        text_config=Gemma3nTextConfig(**{**text, **more}),
        vision_config=Gemma3nVisionConfig(**vision, vocab_offset=plain, vocab_size=MORE),
        audio_config=Gemma3nAudioConfig(**sound, vocab_offset=plain + MORE, vocab_size=MORE),
        vision_soft_tokens_per_image=36,
        audio_soft_tokens_per_image=4,
        **places,
    )
    model = Gemma3nForConditionalGeneration(config)
    with torch.no_grad():  # zeros at first: the layers' own inputs would change nothing
        for layer in model.model.language_model.layers:
            layer.altup.correct_output_scale.normal_()
    pixels = SiglipImageProcessorPil(
        size={"height": 48, "width": 48}, image_mean=[0.0] * 3, image_std=[1.0] * 3
    )
    parts = Gemma3nAudioFeatureExtractor(), pixels, words
    return model, Gemma3nProcessor(*parts, audio_seq_length=4, image_seq_length=36)


TINY_GEMMA3N = {"gemma3n": Tiny(gemma3n, ((96, 96), (240, 96), (96, 240)))}
"""For the tests of every family."""
