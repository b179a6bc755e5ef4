"""The GPU program runs whole at small shapes, and its shapes are the published ones."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from benchmarks import gpu
from benchmarks.shapes import SHAPES


def test_every_row_is_measured_at_a_small_shape(monkeypatch):
    monkeypatch.setattr(gpu, "NEW", 1)
    monkeypatch.setattr(gpu, "STORY", 2)
    monkeypatch.setattr(gpu, "SHARES", (50,))
    qwen = next(shape for shape in SHAPES if shape.name == "Qwen2.5-VL-3B")
    small = type(qwen)(qwen.name, qwen.build, (1792, 112))
    rows = list(gpu.Bench(small, True, "cpu", 1).rows())
    words = " ".join(row.what for row in rows)
    for part in (
        "plain",
        "capture off",
        "all the page shows",
        "eager",
        "fastervlm keeps",
        "layer 2",
        "lanes",
    ):
        assert part in words
    assert "16 visual tokens" in rows[0].how
    same = next(row for row in rows if "masking" in row.what)
    assert same.value == "100%"
    assert all(row.what.startswith("Qwen2.5-VL-3B: ") for row in rows)


@pytest.mark.parametrize(
    ("name", "billions", "tokens"),
    [("LLaVA-1.5-7B", 7.06, 576), ("Qwen2.5-VL-7B", 8.29, 4096)],
)
def test_the_real_shapes_are_the_published_ones(name, billions, tokens):
    shape = next(shape for shape in SHAPES if shape.name == name)
    arguments, processor = shape.build(False)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**arguments))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e9 == pytest.approx(billions, abs=0.02)
    mark = processor.image_token
    batch = processor(images=[gpu.noise(shape.side[0])], text=mark, return_tensors="pt")
    image = AutoConfig.for_model(**arguments).image_token_id
    assert int((batch["input_ids"] == image).sum()) == tokens


def test_without_a_gpu_real_shapes_are_refused_in_words(monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu"])
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.main()


def test_the_page_says_that_no_gpu_was_at_hand():
    assert "No GPU was at hand" in gpu.page("", True, "cpu")
    assert "No GPU" not in gpu.page("", False, "cuda")
