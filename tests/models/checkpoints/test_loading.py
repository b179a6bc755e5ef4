"""Where and how a model is loaded, and the sentence when it cannot be."""

import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils.tqdm import _create_progress_bar
from PIL import Image
from transformers import LlamaConfig

import tokviz
from tokviz.errors import ModelError
from tokviz.models.before import prefill_input
from tokviz.models.checkpoints import download, loading, placement
from tokviz.models.checkpoints import memory as room
from tokviz.models.checkpoints.attention_choice import plain_attention
from tokviz.models.checkpoints.placement import choose_placement


def without(monkeypatch, *packages):
    """Let these packages look as if they were not installed, and all others as if they were."""
    monkeypatch.setattr(placement, "find_spec", lambda name: None if name in packages else object())


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
    assert "GB of weights on cpu: choose a smaller model, bits=8, bits=4" in str(told.value)
    assert "dtype bfloat16" in str(told.value)


def rewritten(**changes):
    """Change entries of config.json; those of the language model go by `text`."""

    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        more = dict(changes)
        config["text_config"] |= more.pop("text", {})
        (folder / "config.json").write_text(json.dumps(config | more))

    return change


def halved(name):
    """What a download that was cut off leaves behind."""

    def change(folder):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return change


def renamed(name, other):
    return lambda folder: (folder / name).rename(folder / other)


def pointer(name):
    """What git leaves of a large file where git-lfs is not installed."""

    def change(folder):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    return change


def quantised(**settings):
    return rewritten(quantization_config=settings)


AWQ = {"bits": 4, "group_size": 16, "zero_point": True, "version": "gemm"}
OWN_CODE = {"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}
DAMAGE = {
    "half weights": (halved("model.safetensors"), "model.safetensors is cut short, it has"),
    "half config": (halved("config.json"), "config.json is damaged"),
    "half tokenizer": (halved("tokenizer.json"), "damaged or don't fit together"),
    "pickle": (renamed("model.safetensors", "pytorch_model.bin"), "only pytorch_model.bin, which"),
    "no config": (renamed("config.json", "other.json"), "there is no config.json"),
    "own code": (rewritten(model_type="evil", **OWN_CODE), "own .auto_map., which tokviz never"),
    "another config": (rewritten(text={"num_hidden_layers": 9}), "lack .* of the weights"),
    "impossible size": (rewritten(text={"hidden_size": -1}), "hidden size .-1. is not a multiple"),
    "a pointer": (pointer("model.safetensors"), "model.safetensors is a pointer of git-lfs"),
    "a pointer to words": (pointer("tokenizer.json"), "tokenizer.json is a pointer of git-lfs"),
    "a pointer to a template": (
        pointer("chat_template.jinja"),
        "chat_template.jinja is a pointer of git-lfs",
    ),
    "awq": (quantised(quant_method="awq", **AWQ), "needs a package .*gptqmodel"),
    "gptq": (quantised(quant_method="gptq", bits=4, group_size=16), "needs a package .*optimum"),
    "fp8": (quantised(quant_method="fp8"), "needs a package .*accelerate"),
    "bitsandbytes": (
        quantised(quant_method="bitsandbytes", load_in_4bit=True),
        "needs a package .*accelerate",
    ),
    "size in words": (rewritten(text={"hidden_size": "x"}), "'hidden_size' expected int"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_files_that_cannot_be_used_are_a_sentence(folder, tmp_path, name):
    change, sentence = DAMAGE[name]
    broken = shutil.copytree(folder, tmp_path / "broken")
    change(broken)
    (broken / "evil.py").write_text("raise SystemExit('the repository ran its own code')")
    with pytest.raises(ModelError, match=f"could not be loaded: .*{sentence}"):
        tokviz.load(broken)


def test_a_known_family_is_loaded_by_transformers_own_code(folder, tmp_path):
    """Also where the repository brings code for its config, its model and its tokenizer."""
    own = shutil.copytree(folder, tmp_path / "own")
    rewritten(**OWN_CODE)(own)
    file = own / "tokenizer_config.json"
    more = {"auto_map": {"AutoTokenizer": ["evil.T", None]}, "tokenizer_class": "T"}
    file.write_text(json.dumps(json.loads(file.read_text()) | more))
    (own / "evil.py").write_text("raise SystemExit('the repository ran its own code')")
    assert type(tokviz.load(own).model).__module__.startswith("transformers.models.llava")


def test_a_model_that_would_fill_the_memory_is_refused_before_it_does(monkeypatch, folder):
    """On a CPU nobody raises: the system ends the whole server."""
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    with pytest.raises(ModelError, match="choose a smaller model, .*; 0.0 GB are free"):
        tokviz.load(folder, device="cpu")
    monkeypatch.undo()
    assert tokviz.load(folder, device="cpu").info["device"] == "cpu"


@pytest.mark.parametrize(
    ("asked", "gigabytes"),
    [
        ({"bits": 4}, 0.25),
        ({"bits": 8}, 0.5),
        ({"dtype": "bfloat16"}, 1),
        ({"dtype": "float32"}, 2),
    ],
    ids=["4 bits", "8 bits", "16 bits", "32 bits"],
)
def test_the_room_that_is_needed_follows_from_the_bits_that_were_asked_for(
    monkeypatch, asked, gigabytes
):
    """One gigabyte of weights in bfloat16 files takes this much in memory."""
    without(monkeypatch)
    place = choose_placement("cpu", **asked)
    monkeypatch.setattr(loading, "free_bytes", lambda device: gigabytes * 1e9 + 1e6)
    loading._check_room(1.0, torch.bfloat16, place)
    monkeypatch.setattr(loading, "free_bytes", lambda device: gigabytes * 1e9 - 1e6)
    with pytest.raises(ModelError, match="GB are free"):
        loading._check_room(1.0, torch.bfloat16, place)


def test_a_lack_of_memory_on_a_cpu_is_told_as_one_and_the_next_request_works(vlm):
    with pytest.raises(ModelError, match="ran out of memory: use a smaller image"), vlm.guarded():
        torch.empty(2**58)
    assert room.free_bytes("cpu") > 2**20
    with vlm.guarded():
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("source", "more", "sentence"),
    [
        ("no/such/thing", {}, "there is no such folder, and a Hub id has the form owner/name"),
        ("owner/name", {"revision": "abc"}, "no whole copy of revision 'abc' of it is on this"),
        ("embedded", {"revision": "abc"}, "revision is for models on the Hub"),
        ((torch.nn.Linear(1, 1), None), {}, "give .model, processor., both of transformers"),
        ((torch.nn.Linear(1, 1),), {}, "give .model, processor., both of transformers"),
        ("embedded", {"device": "meta"}, "'meta' cannot be used here. Choose one of: cpu"),
    ],
    ids=["no folder", "no network", "pinned folder", "not a model", "alone", "odd device"],
)
def test_what_is_not_there_is_a_sentence(monkeypatch, source, more, sentence):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=sentence):
        tokviz.load(source, **more)


def test_a_given_model_stays_where_it_is(vlm):
    with pytest.raises(ModelError, match="for a model that is already loaded"):
        tokviz.load((vlm.model, vlm.processor), dtype="bfloat16")


def test_a_pinned_commit_that_was_fetched_is_enough_without_network(monkeypatch, folder, tmp_path):
    """The cache as huggingface_hub lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--owner--name"
    shutil.copytree(folder, kept / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tokviz.load("owner/name", revision=commit).info["name"] == "owner/name"
    with pytest.raises(ModelError, match="no whole copy"):
        tokviz.load("owner/name", revision=commit[::-1])


def test_loading_says_how_far_it_is_and_draws_no_bar(folder, capfd):
    lines = []
    tokviz.load(folder, progress=lines.append)
    assert lines[0] == "loading 0.00 GB of weights"
    assert lines[1:-1] == [f"loading the weights: {part} %" for part in (25, 50, 75, 100)]
    assert lines[-1] == "ready on cpu, float32: exact, and no slower on a CPU"
    assert "Loading weights" not in capfd.readouterr().err


def test_a_download_is_told_in_gigabytes_by_a_bar_that_draws_nothing(monkeypatch, capfd):
    """The bar is made and moved as huggingface_hub does it."""
    monkeypatch.setattr(download, "LINE_INTERVAL_S", 0)
    lines = []
    kind = download.reporting(lines.append)
    bar = _create_progress_bar(cls=kind, log_level=20, total=0, unit="B", name="x", desc="Rec")
    files = _create_progress_bar(cls=kind, log_level=20, total=2, unit="it", desc="Fetching")
    bar.total += 2_000_000_000
    bar.update(500_000_000)
    files.update(1)
    bar.update(1_500_000_000)
    assert lines == [
        "fetching: 0.50 of 2.00 GB",
        "fetching: 2.00 of 2.00 GB",
    ]
    assert capfd.readouterr().err == ""


def test_a_decoder_spread_over_devices_is_said_by_methods_inside_it(vlm):
    prefill_input.check_one_device(vlm.model.parameters())
    spread = [torch.empty(1), torch.empty(1, device="meta")]
    with pytest.raises(ModelError, match="one device; device_map put them on cpu, meta"):
        prefill_input.check_one_device(spread)


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["flash_attention_2", "kernels-community/flash-attn", "unknown"])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "by part"])
def test_attention_that_is_not_installed_is_replaced_and_named(checkpoint, tmp_path, key, asked):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("llava"), folder)
    config = json.loads((folder / "config.json").read_text())
    parts = {"": asked, "text_config": asked, "vision_config": "eager"}
    config |= {"attn_implementation": parts} if key == "by part" else {key: asked}
    (folder / "config.json").write_text(json.dumps(config))
    picture = Image.new("RGB", (48, 48), "red")
    trace = tokviz.load(folder).answer(picture, "what?", max_new_tokens=2)
    assert any(f"config.json asks for the attention {asked!r}" in note for note in trace.notes)
    plain = tokviz.load(checkpoint("llava")).answer(picture, "what?", max_new_tokens=2)
    assert (trace["answer_prob"] == plain["answer_prob"]).all()
    assert not any("config.json asks" in note for note in plain.notes)


def test_a_model_that_takes_no_sdpa_is_loaded_with_eager():
    tried = []

    def build(folder, *, config, attn_implementation):
        tried.append((attn_implementation, config._attn_implementation_internal))
        if attn_implementation == "sdpa":
            raise ValueError("GptOss does not support an attention implementation through SDPA.")
        return "model"

    assert plain_attention(build, "folder", LlamaConfig()) == "model"
    assert tried == [("sdpa", "sdpa"), ("eager", "eager")]
