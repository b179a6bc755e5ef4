"""The GPU program runs whole at small shapes, and its shapes are the published ones."""

import argparse
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from benchmarks import gpu, gpu_model, gpu_rows, gpu_sections
from benchmarks.shapes import SHAPES
from benchmarks.table import Row

pytestmark = pytest.mark.slow


@pytest.fixture
def given(monkeypatch):
    """Arguments of a short run of one small model."""
    qwen = next(shape for shape in SHAPES if shape.name == "Qwen2.5-VL-3B")
    monkeypatch.setattr(gpu, "SHAPES", (type(qwen)(qwen.name, qwen.build, (1792, 112)),))
    for name, value in {"NEW": 1, "STORY": 2, "SHARES": (50,)}.items():
        monkeypatch.setattr(gpu_sections, name, value)
    return argparse.Namespace(small=True, device="cpu", only=None, rounds=1, minutes=1, again=False)


@pytest.mark.weekly
def test_every_section_is_on_disk_at_a_small_shape_and_none_is_measured_twice(
    given, tmp_path, monkeypatch
):
    store = tmp_path / "gpu.jsonl"
    given.minutes = 0
    gpu.run(given, store)
    assert not store.exists(), "no time, nothing begun"
    given.minutes = 1
    gpu.run(given, store)
    sections = gpu_rows.read(store)
    assert [name for _, name, *_ in sections] == list(gpu_sections.SECTIONS)
    rows = [row for section in sections.values() for row in section.rows]
    assert all(row.what.startswith("Qwen2.5-VL-3B: ") for row in rows)
    assert not any("could not be measured" in row.what for row in rows)
    assert "16 visual tokens" in rows[0].how
    same = next(row for row in rows if "masking" in row.what)
    assert same.value == "100%"
    monkeypatch.setattr(gpu, "Bench", None)  # would fail if anything were measured again
    gpu.run(given, store)
    first = next(iter(sections.values()))
    assert (first.commit, first.versions.startswith("torch ")) != ("", False)


def test_what_runs_out_of_memory_is_a_row_and_the_next_section_goes_on(
    given, tmp_path, monkeypatch
):
    def full(bench):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 27 GiB\nmore")

    few = {"full": full, "fine": lambda bench: [Row("fine", "1", "")]}
    monkeypatch.setattr(gpu, "SECTIONS", few)
    monkeypatch.setattr(gpu, "Bench", lambda *given: SimpleNamespace(unit=""))
    gpu.run(given, tmp_path / "gpu.jsonl")
    first, second = gpu_rows.read(tmp_path / "gpu.jsonl").values()
    assert first.rows[0][0] == "Qwen2.5-VL-3B: full could not be measured"
    assert first.rows[0][2] == "CUDA out of memory. Tried to allocate 27 GiB"
    assert second.rows[0][1] == "1"


def test_memory_and_name_are_those_of_the_gpu(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "One GPU")
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30)
    bench = gpu_model.Bench.__new__(gpu_model.Bench)
    bench.device = torch.device("cuda")
    assert bench.peak(lambda: asked.append("run")) == "3.0 GiB"
    assert asked == [torch.device("cuda"), "run"]
    assert gpu_rows.device_name("cuda") == "One GPU"


def test_a_ratio_is_the_median_of_the_rounds():
    assert gpu_model.ratio([1.0, 9.0, 2.0], [1.0, 3.0, 4.0]) == "1.00 ×"


@pytest.mark.parametrize(
    ("name", "billions", "tokens"),
    [("LLaVA-1.5-7B", 7.06, 576), ("LLaVA-NeXT-7B", 7.06, 2928), ("Qwen2.5-VL-7B", 8.29, 4096)],
)
def test_the_real_shapes_are_the_published_ones(name, billions, tokens):
    shape = next(shape for shape in SHAPES if shape.name == name)
    arguments, processor = shape.build(False)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**arguments))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e9 == pytest.approx(billions, abs=0.02)
    mark = processor.image_token
    picture = gpu_model.noise(shape.side[0])
    batch = processor(images=[picture], text=mark, return_tensors="pt")
    image = AutoConfig.for_model(**arguments).image_token_id
    assert int((batch["input_ids"] == image).sum()) == tokens


def test_without_a_gpu_real_shapes_are_refused_in_words(monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu"])
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.main()


def test_the_page_says_whether_a_gpu_was_at_hand():
    row = Row("what", "1", "how")
    made = [
        gpu_rows.Section("m", "s", [row], device, small, "abc", "torch 2", "2026-11-21", 5.0)
        for device, small in (("CPU: some", True), ("One GPU", False))
    ]
    assert "No GPU was at hand" in gpu_rows.page(made[:1])
    both = gpu_rows.page(made)
    assert "No GPU" not in both
    assert both.index("## One GPU, real shapes") < both.index("## CPU: some, shapes a few thousand")
    assert "2026-11-21, commit abc, torch 2. 5 s in all." in both
