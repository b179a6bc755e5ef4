"""A trace survives saving, and a file from a stranger gets a sentence and nothing else."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import tokviz
from tokviz.errors import MissingSignal, TraceError
from tokviz.matrix import Reduction
from tokviz.per_head import of_heads
from tokviz.trace import Trace, open_trace, trace_io
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.stages import StageRecord
from tokviz.trace.to_file import file_arrays, header_of, layout_arrays


def layout():
    """Six tokens on a 2 x 3 grid over a picture of 60 x 40 pixels."""
    row, col = np.divmod(np.arange(6, dtype=np.int16), np.int16(3))
    return Layout(
        ((60, 40),), (Tile(0, 2, 3, (0, 0, 60, 40)),), np.zeros(6, np.int16), row, col,
        np.zeros(6, np.uint8), np.arange(1, 7, dtype=np.int32),
    )  # fmt: skip


def trace(**changes):
    """Eight prompt tokens, two answer tokens, one pruning stage."""
    fields = {
        "prompt": "is it <b>?",
        "answer": "yes .",
        "model": {"name": "toy", "layers": 3},
        "layout": layout(),
        "prompt_tokens": tuple("abcdefgh"),
        "answer_tokens": ("yes", " ."),
        "arrays": {**layout_arrays(layout()), "attention": np.ones((2, 3, 6), np.float16)},
        "stages": (StageRecord("fastervlm", "before", None, Reduction.select([0, 4], 6), 0.01),),
        "images": (b"\xff\xd8jpeg",),
        "timings": {"prefill": 0.5},
        "kv_bytes": 7,
        "kv_lengths": (4, 4, 4),
        "notes": ("a note",),
    }
    return Trace(**{**fields, **changes})


GOOD = trace().to_bytes()


def test_a_stage_that_only_masks_leaves_every_token_to_the_next_stage():
    """Two stages that mask, over all six tokens, then one that removes: who went when?"""
    stages = (
        StageRecord("a", "inside", 1, Reduction.select([0, 1], 6), effect="mask"),
        StageRecord("b", "inside", 2, Reduction.select([0, 1, 4], 6), effect="mask"),
        StageRecord("c", "inside", 3, Reduction.select([0, 4, 5], 6)),
        StageRecord("d", "inside", 4, Reduction.select([0, 1], 3), effect="mask"),
    )
    run = trace(stages=stages)
    assert run.went_at.tolist() == [-1, 2, 0, 0, 0, 0]
    assert trace(stages=stages[1:]).went_at.tolist() == [-1, 1, 0, 0, -1, 0]
    assert run.reduction.kept.tolist() == [0, 4]


def test_everything_comes_back_as_it_was(tmp_path):
    before = trace()
    before.save(tmp_path / "run.safetensors")
    after = tokviz.open_trace(tmp_path / "run.safetensors")
    for name in ("prompt", "answer", "model", "prompt_tokens", "answer_tokens", "images",
                 "timings", "kv_bytes", "kv_lengths", "notes"):  # fmt: skip
        assert getattr(after, name) == getattr(before, name)
    assert np.array_equal(after["attention"], before["attention"])
    assert np.array_equal(after.reduction.matrix(), before.reduction.matrix())
    assert np.array_equal(after.layout.box, before.layout.box)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_stages_compose_and_each_token_knows_when_it_went():
    stages = (
        StageRecord("a", "before", None, Reduction.select([0, 2, 4, 5], 6)),
        StageRecord("b", "language_model", 2, Reduction.select([1, 3], 4)),
    )
    both = trace(stages=stages)
    assert both.reduction.kept.tolist() == [2, 5]
    assert both.went_at.tolist() == [1, 0, -1, 0, 1, -1]


def test_a_stage_that_only_masks_shows_its_choice_and_removes_nothing():
    stages = (
        StageRecord("m", "language_model", 1, Reduction.select([0, 1], 6), effect="mask"),
        StageRecord("m", "language_model", 2, Reduction.select([1, 2], 6), effect="mask"),
    )
    assert trace(stages=stages).reduction.kept.tolist() == [1, 2]


def test_boxes_lie_in_the_original_image_and_margins_are_named():
    assert layout().box[4].tolist() == [20, 20, 40, 40]
    cropped = Layout(
        ((80, 40),), (Tile(0, 2, 3, (10, 0, 70, 40)),), *list(vars(layout()).values())[2:]
    )
    assert cropped.unseen(0) == [(0, 0, 10, 40), (70, 0, 80, 40)]


def test_a_missing_array_says_what_it_would_hold():
    with pytest.raises(MissingSignal, match="does not hold 'readout'"):
        trace()["readout"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"attention": np.ones((2, 3, 5), np.float16)}, "has 5 along 'n'"),
        ({"attention": np.ones((2, 3, 6), np.float32)}, "must be float16"),
        ({"attention": np.ones((2, 6), np.float16)}, "must have axes"),
        ({"surprise": np.ones(1)}, "no array 'surprise'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message):
    with pytest.raises(TraceError, match=message):
        trace(arrays={**layout_arrays(layout()), **arrays})


@pytest.mark.parametrize("name", ["layers", "heads", "tower_layers", "hidden_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_count_of_the_model_is_a_whole_number_from_one(name, value):
    if (name, value) == ("tower_layers", 0):  # a convolutional tower
        assert open_trace(trace(model={name: 0}).to_bytes()).model[name] == 0
        return
    with pytest.raises(TraceError, match="'model' in the header"):
        open_trace(trace(model={"name": "toy", name: value}).to_bytes())


def test_a_stage_keeps_its_scores_and_the_names_that_its_method_gave():
    named = Reduction.select([0, 4], 6, score=np.arange(6), roles={"anchor": [4]})
    again = open_trace(trace(stages=(StageRecord("a", "before", None, named),)).to_bytes())
    assert again.stages[0].reduction.score.tolist() == [0, 1, 2, 3, 4, 5]
    assert {k: v.tolist() for k, v in again.stages[0].reduction.roles.items()} == {"anchor": [4]}


def test_stages_that_do_not_follow_each_other_are_refused():
    with pytest.raises(TraceError, match="a stage takes 4 tokens, but 6 were left"):
        trace(stages=(StageRecord("a", "before", None, Reduction.select([0], 4)),))


def changed(**header):
    """The good file with another header."""
    length = int.from_bytes(GOOD[:8], "little")
    outer = json.loads(GOOD[8 : 8 + length])
    inner = {**json.loads(outer["__metadata__"]["header"]), **header}
    outer["__metadata__"]["header"] = json.dumps(inner)
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + GOOD[8 + length :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "header is missing"),
        (b"PK\x03\x04 a zip file, renamed", "header is missing|not a tokviz trace"),
        (GOOD[:40], "header is missing or cut off"),
        (GOOD[:-10], "damaged"),
        (save({"x": np.ones(3, np.float32)}), "not a tokviz trace"),
        (changed(version=2), "this trace has version 2"),
        (changed(prompt=5), "a text in the trace"),
        (changed(prompt_tokens="abcdefgh"), "a list of texts"),
        (changed(sizes=[[0, 40]]), "image size in the trace is out of range"),
        (changed(tiles=[[0, 2, 3, [0, 0, -1, 40], "whole"]]), "has a box without area"),
        (changed(tiles=[[0, 1, 1, [0, 0, 60, 40], "whole"]]), "outside its tile's grid"),
        (changed(roles=[{"anchor": [6]}]), "points outside the 6"),
        (changed(roles=[{"anchor": [True, "x"]}]), "points outside the 6"),
        (changed(stages=[], roles=[]), None),
    ],
    ids=[
        "empty",
        "renamed-zip",
        "cut-header",
        "cut-data",
        "foreign-safetensors",
        "other-version",
        "prompt-not-text",
        "tokens-not-list",
        "size-zero",
        "tile-nowhere",
        "cell-outside",
        "role-outside",
        "role-no-number",
        "no-stages",
    ],
)
def test_a_foreign_or_broken_file_gets_a_sentence(data, message):
    if message is None:
        assert open_trace(data).stages == ()
        return
    with pytest.raises(TraceError, match=message):
        open_trace(data)


def test_a_file_that_is_not_there_gets_a_sentence(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        open_trace(tmp_path / "nothing.safetensors")


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6))
@pytest.mark.slow
def test_no_mutation_of_a_good_file_raises_anything_but_a_trace_error(changes):
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    with contextlib.suppress(TraceError):
        assert open_trace(bytes(data)).n == 6


@pytest.mark.parametrize(
    "fate",
    [
        np.zeros((2, 5), np.uint8),
        np.zeros((0, 6), np.uint8),
        np.zeros(6, np.uint8),
        np.zeros((2, 6), np.int32),
        np.full((2, 6), 3, np.uint8),
        np.zeros((2000, 6), np.uint8),
    ],
)
def test_fates_of_key_heads_are_read_back_or_refused(fate):
    done = of_heads([[0, 1, -1, -1, 4, -1], [0, -1, -1, 3, 4, -1]])
    run = trace(stages=(StageRecord("snapkv", "cache", 0, done, effect="evict"),))
    opened = open_trace(run.to_bytes()).stages[0]
    assert (opened.reduction.heads.fate == done.heads.fate).all()
    assert (opened.effect, opened.removes) == ("evict", False)
    arrays = file_arrays(run) | {"stage.0.heads": fate}
    with pytest.raises(TraceError, match="fates per key head"):
        open_trace(trace_io.pack(header_of(run), arrays))
