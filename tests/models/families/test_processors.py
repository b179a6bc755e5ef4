"""Processors of models that also take videos load without torchvision, for still images."""

import pytest
from PIL import Image
from transformers import Qwen2VLConfig, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import is_torchvision_available

from tests.models.tiny import byte_tokenizer
from tokviz.models.families.processors import load_processor, still_images

TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<|image_pad|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.mark.skipif(is_torchvision_available(), reason="here the whole processor loads")
def test_a_processor_with_a_video_half_loads_and_reads_an_image(tmp_path):
    """transformers alone raises an error about a mapping that says nothing of torchvision."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image_pad|>", "<|video_pad|>"]})
    pixels = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 1, "longest_edge": 9999})
    saved = still_images(Qwen2VLProcessor)(pixels, tokenizer, chat_template=TEMPLATE)
    saved.save_pretrained(tmp_path)
    processor = load_processor(str(tmp_path), Qwen2VLConfig())
    assert type(processor).__name__ == "Qwen2VLProcessor"
    content = [{"type": "image"}, {"type": "text", "text": "hi"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}])
    assert text == "<|image_pad|>hi"
    batch = processor(images=[Image.new("RGB", (64, 32))], text=text, return_tensors="pt")
    assert batch["image_grid_thw"].tolist() == [[1, 4, 8]]
    assert batch["input_ids"].shape == (1, 8 + 2)
