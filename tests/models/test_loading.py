"""Where and how a model is loaded, and the sentence when it cannot be."""

import shutil

import pytest
import torch
from huggingface_hub.utils.tqdm import _create_progress_bar

import tokviz
from tokviz.errors import ModelError
from tokviz.models import download, loading
from tokviz.models.loading import choose_placement


def without(monkeypatch, *packages):
    """Let these packages look as if they were not installed, and all others as if they were."""
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name in packages else object())


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"bits": 4}, "bits=4 needs the packages accelerate and bitsandbytes, not installed here"),
        ({"device_map": "auto"}, "device_map='auto' needs the package accelerate, not installed"),
        ({"bits": 3}, "bits must be 4 or 8, got 3"),
        ({"device_map": "all"}, "device_map must be auto, balanced, .*, got 'all'"),
        ({"device_map": "auto", "device": "cpu"}, "give device or device_map, not both"),
        ({"dtype": "int8"}, "dtype must be float32, float16 or bfloat16, got 'int8'"),
    ],
    ids=["bits", "device map", "odd bits", "odd map", "both", "odd dtype"],
)
def test_what_cannot_be_used_is_said_before_anything_is_fetched(monkeypatch, asked, sentence):
    without(monkeypatch, "accelerate", "bitsandbytes")
    with pytest.raises(ModelError, match=sentence):
        tokviz.load("nobody/nothing", **asked)


def test_the_reason_names_what_was_chosen(monkeypatch):
    without(monkeypatch)
    assert choose_placement("cpu").reason == "float32: exact, and no slower on a CPU"
    assert "weights in 4 bits" in choose_placement("cpu", bits=4).reason
    assert "spread over devices by device_map=auto" in choose_placement(device_map="auto").reason


def test_too_little_memory_says_what_to_lower(monkeypatch, folder):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loading.AutoModelForImageTextToText, "from_pretrained", full)
    with pytest.raises(ModelError) as told:
        tokviz.load(folder, device="cpu")
    assert "GB in its files, on cpu: choose a smaller model, bits=8, bits=4" in str(told.value)
    assert "dtype bfloat16" in str(told.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_half_written_file_is_a_sentence(folder, tmp_path, name):
    """What a download that was cut off leaves behind."""
    half = shutil.copytree(folder, tmp_path / "half")
    whole = (half / name).read_bytes()
    (half / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="could not be loaded"):
        tokviz.load(half)


def test_loading_says_how_far_it_is(folder):
    lines = []
    tokviz.load(folder, progress=lines.append)
    assert lines[0].startswith(f"loading {folder}: 0.00 GB of weights")
    assert lines[1].endswith("is ready on cpu, float32: exact, and no slower on a CPU")


def test_a_download_is_told_in_gigabytes_by_a_bar_that_draws_nothing(monkeypatch, capfd):
    """The bar is made and moved as huggingface_hub does it."""
    monkeypatch.setattr(download, "EVERY", 0)
    lines = []
    kind = download.reporting("some/model", lines.append)
    bar = _create_progress_bar(cls=kind, log_level=20, total=0, unit="B", name="x", desc="Rec")
    files = _create_progress_bar(cls=kind, log_level=20, total=2, unit="it", desc="Fetching")
    bar.total += 2_000_000_000
    bar.update(500_000_000)
    files.update(1)
    bar.update(1_500_000_000)
    assert lines == [
        "fetching some/model: 0.50 of 2.00 GB",
        "fetching some/model: 2.00 of 2.00 GB",
    ]
    assert capfd.readouterr().err == ""
