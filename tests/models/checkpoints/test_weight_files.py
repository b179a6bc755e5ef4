"""A local folder whose files are missing, cut short, packed, or described wrongly."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokviz
from tests.models.checkpoints.test_loading import rewritten
from tokviz.errors import ModelError
from tokviz.models.checkpoints.weight_files import INDEX, SINGLE


@pytest.fixture(scope="module")
def shards(vlm, folder, tmp_path_factory):
    """The tiny LLaVA in several files."""
    made = shutil.copytree(folder, tmp_path_factory.mktemp("shards") / "model")
    (made / SINGLE).unlink()
    vlm.model.save_pretrained(made, max_shard_size="300KB")
    assert len(list(made.glob("*.safetensors"))) > 2
    return made


@pytest.fixture
def copy(shards, tmp_path):
    return shutil.copytree(shards, tmp_path / "model")


def cut(length):
    def change(file):
        file.write_bytes(file.read_bytes()[:length])

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.unlink(), "is missing, which model.safetensors.index.json names"),
        (cut(-1), "is cut short, it has [0-9,]+ of [0-9,]+ bytes"),
        (cut(100), "is cut short, it ends in its header"),
        (cut(0), "is damaged, it does not begin as a safetensors file"),
        (lambda file: file.write_bytes(b"<html>no</html>"), "is damaged, it does not begin"),
    ],
    ids=["missing", "a byte", "header", "empty", "page"],
)
def test_the_file_that_is_not_whole_is_named(copy, change, says):
    file = sorted(copy.glob("*.safetensors"))[1]
    change(file)
    sentence = f"could not be loaded: the file {file.name} {says}.*: copy it here again, or"
    with pytest.raises(ModelError, match=sentence):
        tokviz.load(copy)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_list_of_files_is_named(copy, text):
    (copy / INDEX).write_text(text)
    with pytest.raises(ModelError, match=f"the file {INDEX} is damaged"):
        tokviz.load(copy)


def test_files_that_are_not_loaded_may_be_damaged(copy):
    """Mistral's checkpoints hold the same weights once more, in another file."""
    (copy / "consolidated.safetensors").write_bytes(b"half")
    assert tokviz.load(copy).notes == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dtype": "float7"}, "dtype = 'float7', which is no number type: write float32"),
        ({"dtype": "nn"}, "dtype = 'nn', which is no number type"),
        ({"torch_dtype": 3}, "torch_dtype = 3, which is no number type"),
        ({"text": {"dtype": "half float"}}, "text_config.dtype = 'half float', which is no"),
        ({"text": {"hidden_act": "x"}}, "text_config.hidden_act = 'x', which transformers does"),
        (
            {"text": {"rope_parameters": {"rope_type": "x", "rope_theta": 1e4}}},
            "text_config.rope_parameters.rope_type = 'x', which transformers does not know",
        ),
        ({"quantization_config": [4]}, "quantization_config = .4., which must be an object"),
    ],
    ids=["type", "no type", "number", "part", "activation", "nested", "list"],
)
def test_the_word_of_a_config_that_nobody_knows_is_named(folder, tmp_path, changes, says):
    copy = shutil.copytree(folder, tmp_path / "model")
    rewritten(**changes)(copy)
    with pytest.raises(ModelError, match=f"config.json has {says}"):
        tokviz.load(copy)


UNKNOWN = {"quantization_config": {"quant_method": "newest"}}


@pytest.mark.parametrize("place", [UNKNOWN, {"text": UNKNOWN}], ids=["whole", "part"])
def test_plain_weights_of_an_unknown_quantization_are_loaded_and_told(vlm, folder, tmp_path, place):
    copy = shutil.copytree(folder, tmp_path / "model")
    rewritten(**place)(copy)
    loaded = tokviz.load(copy)
    assert any("quantization 'newest', which transformers does not" in n for n in loaded.notes)
    same = zip(loaded.model.parameters(), vlm.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def rounded(weights, name):
    weights[name] = (weights[name] * 100).to(torch.int8)


def packed(weights, name):
    weights[name.replace("weight", "qweight")] = weights.pop(name).to(torch.int32)


def scaled(weights, name):
    weights[f"{name}_scale"] = torch.ones(1)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("change", [rounded, packed, scaled])
def test_packed_weights_that_nobody_unpacks_are_refused(folder, tmp_path, change, named):
    """Rounded ones of the same name were loaded as if they were the weights."""
    copy = shutil.copytree(folder, tmp_path / "model")
    weights = load_file(copy / SINGLE)
    change(weights, next(name for name in weights if name.endswith("q_proj.weight")))
    save_file(weights, copy / SINGLE, {"format": "pt"})
    if named:
        rewritten(**UNKNOWN)(copy)
    how = "'newest' .*which transformers does not know" if named else "config.json does not say how"
    with pytest.raises(ModelError, match=f"weights are stored .*{how}"):
        tokviz.load(copy)


def test_an_index_without_its_files_is_not_asked_where_one_file_holds_all(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / INDEX).write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    assert tokviz.load(copy).notes == ()
