"""One tiny model per family: the real classes, built from a config, with random weights.

A new family needs a builder function and a line in TINY; then every promise of test_promises.py
and test_family_geometry.py is tested on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vProcessor,
    Glm46VConfig,
    Glm46VForConditionalGeneration,
    Glm46VProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeConfig,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    Qwen3VLProcessor,
    SiglipVisionConfig,
)
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tokviz.models.families.processors import still_images


@dataclass(frozen=True)
class Tiny:
    """A family's tiny model, and what its tests look at."""

    build: Callable[[], tuple]
    "() -> (model, processor)"
    sizes: tuple[tuple[int, int], ...]
    "(width, height) of pictures whose boxes are proven: aspect ratios, tile counts, orientations."


def byte_tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with no merges: every text has an encoding.

    Args:
        *more: further special tokens, after the five that every tiny model has.
        **named: names that a processor asks its tokenizer for, such as image_token="<image>".
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>", *more]
    vocabulary = {token: i for i, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=["<image>", *more],
        model_specific_special_tokens=named,
    )


def clip(**changes) -> CLIPVisionConfig:
    """Four layers, 6 x 6 patches of 8 x 8 pixels, and a [CLS] token."""
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 48,
        "patch_size": 8,
        "projection_dim": 32,
    }
    return CLIPVisionConfig(**(sizes | changes))


def text_sizes(**changes) -> dict:
    """What most text configs take: four layers, six heads over three key heads."""
    return {
        "vocab_size": 300,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "max_position_embeddings": 2048,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
    } | changes


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Give random weights, scaled so that attention and answers are not all alike."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.6 / parameter.shape[-1] ** 0.5)
    return model.eval()


def llava(layers: int | list[int] = -2, strategy: str = "default") -> tuple:
    """A CLIP tower with [CLS]; the processor cuts the centre out of the picture."""
    config = LlavaConfig(
        vision_config=clip(),
        text_config=LlamaConfig(**text_sizes(max_position_embeddings=512)),
        image_token_id=4,
        vision_feature_layer=layers,
        vision_feature_select_strategy=strategy,
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(
            size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, do_center_crop=True
        ),
        byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=None,
    )
    return LlavaForConditionalGeneration(config), processor


def llava_full() -> tuple:
    """Two tower layers side by side, and the [CLS] state is a visual token too."""
    return llava([1, -2], "full")


PINPOINTS = [[48, 96], [96, 48], [96, 96], [144, 48], [48, 144]]


def llava_next() -> tuple:
    """LLaVA's tower and decoder; a thumbnail and two to four tiles."""
    config = LlavaNextConfig(
        vision_config=clip(),
        text_config=LlamaConfig(**text_sizes()),
        image_token_id=4,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessorPil(
            size={"shortest_edge": 48},
            crop_size={"height": 48, "width": 48},
            image_grid_pinpoints=PINPOINTS,
        ),
        byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    )
    return LlavaNextForConditionalGeneration(config), processor


def granite() -> tuple:
    """Granite Vision: LLaVA-NeXT with a SigLIP tower and four of its states side by side."""
    _, processor = llava_next()
    processor.num_additional_image_tokens = 0
    processor.vision_feature_select_strategy = "full"
    tower = clip().to_dict()
    names = ("intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size")
    tower = {name: tower[name] for name in (*names, "hidden_size", "patch_size")}
    config = LlavaNextConfig(
        vision_config=SiglipVisionConfig(**tower),
        text_config=LlamaConfig(**text_sizes()),
        image_token_id=4,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=[-5, 1, -2, -1],
        vision_feature_select_strategy="full",
    )
    return LlavaNextForConditionalGeneration(config), processor


def llava_onevision() -> tuple:
    """A SigLIP tower whose 4 x 4 patches of 8 pixels leave two of a tile's 34 pixels unseen."""
    pinpoints = [[34 * rows, 34 * cols] for rows in range(1, 5) for cols in range(1, 5)]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=34,
            patch_size=8,
        ),
        text_config=Qwen2Config(**text_sizes()),
        image_token_id=4,
        video_token_id=5,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    )
    processor = still_images(LlavaOnevisionProcessor)(
        LlavaOnevisionImageProcessorPil(
            size={"height": 34, "width": 34}, image_grid_pinpoints=pinpoints
        ),
        byte_tokenizer("<video>"),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        image_token="<image>",
        vision_aspect_ratio="anyres_max_9",
    )
    return LlavaOnevisionForConditionalGeneration(config), processor


def internvl() -> tuple:
    """An InternViT with [CLS]; 6 x 6 patches to 3 x 3 tokens; up to six tiles and a thumbnail."""
    config = InternVLConfig(
        vision_config=InternVLVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=[48, 48],
            patch_size=[8, 8],
        ),
        text_config=Qwen2Config(**text_sizes()),
        image_token_id=4,
        image_seq_length=9,
    )
    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<image>",
        "video_token": "<video>",
    }
    processor = still_images(InternVLProcessor)(
        GotOcr2ImageProcessorPil(
            size={"height": 48, "width": 48}, crop_to_patches=True, max_patches=6
        ),
        byte_tokenizer("<img>", "</img>", "<video>", **names),
        image_seq_length=9,
    )
    return InternVLForConditionalGeneration(config), processor


QWEN_MARKS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
QWEN_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif c.type == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
)


def qwen(model, config, processor, text: dict, vision: dict, template: str | None) -> tuple:
    """What the three Qwen-VL models share: patches of 8 x 8 pixels, four to a token, M-RoPE."""
    image, video, start, end = range(5, 9)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    rope |= text.pop("rope", {})
    config = config(
        text_config=text_sizes(rope_parameters=rope, **text),
        vision_config={"depth": 4, "num_heads": 4, "patch_size": 8} | vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    pixels = Qwen2VLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    )
    tokenizer = byte_tokenizer(*QWEN_MARKS)
    return model(config), still_images(processor)(pixels, tokenizer, chat_template=template)


def qwen2_vl(template: str | None = QWEN_TEMPLATE) -> tuple:
    """Every tower layer sees the whole picture."""
    vision = {"embed_dim": 32, "hidden_size": 48, "mlp_ratio": 2}
    return qwen(
        Qwen2VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLProcessor, {}, vision, template
    )


def qwen2_5_vl() -> tuple:
    """Three of four tower layers see windows of 2 x 2 tokens; no chat template."""
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 48}
    vision |= {"window_size": 32, "fullatt_block_indexes": [2]}
    return qwen(
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLConfig,
        Qwen2_5_VLProcessor,
        {},
        vision,
        None,
    )


def qwen3_vl(model=Qwen3VLForConditionalGeneration, config=Qwen3VLConfig, **experts) -> tuple:
    """Two tower layers are added behind the first two layers of the language model."""
    text = {"head_dim": 8, "rope": {"mrope_interleaved": True}, **experts}
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 48}
    vision |= {"num_position_embeddings": 36, "deepstack_visual_indexes": [0, 2]}
    return qwen(model, config, Qwen3VLProcessor, text, vision, QWEN_TEMPLATE)


def qwen3_vl_moe() -> tuple:
    """Two of four experts for each token, in all layers but the second."""
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    experts |= {"mlp_only_layers": [1]}
    return qwen3_vl(Qwen3VLMoeForConditionalGeneration, Qwen3VLMoeConfig, **experts)


def qwen3_5(model=Qwen3_5ForConditionalGeneration, config=Qwen3_5Config, **experts) -> tuple:
    """Every third of six decoder layers has attention, the others linear attention."""
    kinds = ["linear_attention", "linear_attention", "full_attention"] * 2
    text = {"num_hidden_layers": 6, "layer_types": kinds, "head_dim": 16}
    text |= {"linear_key_head_dim": 8, "linear_value_head_dim": 12}
    text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    rope = {"mrope_interleaved": True, "partial_rotary_factor": 0.5}
    text |= {"rope": rope, **experts}
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 48}
    vision |= {"num_position_embeddings": 36}
    return qwen(model, config, Qwen3VLProcessor, text, vision, QWEN_TEMPLATE)


def qwen3_5_moe() -> tuple:
    """Two of four experts for each token, and one for all."""
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    experts |= {"shared_expert_intermediate_size": 24}
    return qwen3_5(Qwen3_5MoeForConditionalGeneration, Qwen3_5MoeConfig, **experts)


GLM_MARKS = ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>")
GLM_MARKS += ("<|begin_of_video|>", "<|end_of_video|>")


def glm4v(
    model=Glm4vForConditionalGeneration, config=Glm4vConfig, processor=Glm4vProcessor
) -> tuple:
    """A convolution joins four patches; norms around attention, part of a head is rotated."""
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 1]}
    rope |= {"partial_rotary_factor": 0.75}
    image, video, *ends = range(5, 11)
    names = ("image_start", "image_end", "video_start", "video_end")
    vision = {"depth": 4, "num_heads": 4, "patch_size": 8, "hidden_size": 32}
    vision |= {"intermediate_size": 64, "out_hidden_size": 48, "image_size": 48}
    text = text_sizes(rope_parameters=rope, num_attention_heads=6, num_key_value_heads=3)
    config = config(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        **{f"{name}_token_id": end for name, end in zip(names, ends, strict=True)},
    )
    pixels = Glm4vImageProcessorPil(
        patch_size=8, size={"shortest_edge": 32 * 32, "longest_edge": 2 * 96 * 96}
    )
    return model(config), still_images(processor)(pixels, byte_tokenizer(*GLM_MARKS))


def glm46v() -> tuple:
    """The same under the names of GLM-4.6V."""
    return glm4v(Glm46VForConditionalGeneration, Glm46VConfig, Glm46VProcessor)


SHAPES = ((96, 96), (240, 96), (96, 240), (131, 97))
"Square, wide, tall and odd."

TINY: dict[str, Tiny] = {
    "glm4v": Tiny(glm4v, ((96, 96), (240, 96), (97, 230), (600, 60))),
    "internvl": Tiny(internvl, (*SHAPES, (40, 40))),
    "llava": Tiny(llava, (*SHAPES, (400, 100), (100, 400))),
    "llava_next": Tiny(llava_next, (*SHAPES, (300, 100))),
    "llava_onevision": Tiny(llava_onevision, (*SHAPES, (34, 34), (140, 136))),
    "qwen2_vl": Tiny(qwen2_vl, ((96, 96), (240, 96), (97, 230), (600, 60))),
    "qwen2_5_vl": Tiny(qwen2_5_vl, ((96, 96), (240, 96), (97, 230), (600, 60))),
    "qwen3_5": Tiny(qwen3_5, ((96, 96), (240, 96), (97, 230), (600, 60))),
    "qwen3_vl": Tiny(qwen3_vl, ((96, 96), (240, 96), (97, 230), (600, 60))),
}
"""Family -> its tiny model."""


def save(tiny: Tiny, folder: Path) -> Path:
    """Build a tiny model and save it as a checkpoint."""
    torch.manual_seed(0)
    model, processor = tiny.build()
    shake(model)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
