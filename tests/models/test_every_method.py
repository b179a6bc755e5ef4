"""Every registered method runs on a real model, at its own place, and really removes."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError
from tokviz.reduction import METHODS

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"
KEEP = 16


REFUSED = {
    "dc2": (InputError, "DC² averages whole tiles of one size.*keep must be 36 or more here"),
    "downsample": (
        InputError,
        "Smaller picture cannot leave 16.* makes 36 of this picture at every size",
    ),
    "fastvggt": (InputError, "FastVGGT partition merges later frames.*single frame"),
    **{
        name: (InputError, f"{METHODS[name].title} compares the frames of a film")
        for name in METHODS
        if METHODS[name].frames
    },
    "globalcom2": (InputError, "GlobalCom² needs an image with a thumbnail and crops"),
}
"""What one picture in one tile cannot give, and how that is said."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_method_that_lacks_something_says_what(vlm, cat, name):
    kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        vlm.answer(cat, PROMPT, tokviz.plan(name, keep=KEEP), 4)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(REFUSED)))
def test_a_method_runs_on_the_model_and_really_removes(vlm, cat, name):
    entry = METHODS[name]
    trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=KEEP), 4)
    full = vlm.answer(cat, PROMPT, None, 4)
    assert trace.stages
    assert len(trace.reduction.fate) == trace.n
    rows = np.array(trace.kv_lengths) - trace.t
    if entry.unmerged_by:  # attention still has a row for each member
        assert set(rows) == {np.array(full.kv_lengths)[0] - full.t}
    elif all(stage.removes for stage in trace.stages):
        last = trace.reduction.m + int(trace.reduction.prefix_cls)
        assert entry.adaptive or last == KEEP
        assert rows[-1] == len(trace.prompt_tokens) - trace.n + last - 1 or rows[-1] < rows[0]
        assert trace.kv_bytes / sum(trace.kv_lengths) == full.kv_bytes / sum(full.kv_lengths)
    elif entry.effect == "evict":
        assert max(rows) < np.array(full.kv_lengths)[0] - full.t
        assert trace.kv_bytes / sum(trace.kv_lengths) == full.kv_bytes / sum(full.kv_lengths)
    elif entry.effect != "bypass":
        assert set(rows) == {np.array(full.kv_lengths)[0] - full.t}
    assert trace.timings["decide"] > 0


def test_the_oracle_keeps_what_the_full_answer_was_read_from(vlm, cat):
    """Its map is the analysis of the full run's answer."""
    trace = vlm.answer(cat, PROMPT, tokviz.plan("relevance", keep=9), 2)
    full = vlm.answer(cat, PROMPT, None, 8)
    found = vlm.analyse("relevance", cat, PROMPT, trace=full).values.sum(0)
    best = np.sort(np.argsort(-found, kind="stable")[:9])
    assert trace.reduction.kept.tolist() == best.tolist()
    assert any("relevance map took a full answer" in note for note in trace.notes)


def test_the_oracle_runs_in_turn_too(vlm, cat):
    *_, views = vlm.in_turn(cat, PROMPT, [None, tokviz.plan("relevance", keep=9)], 2)
    alone = vlm.answer(cat, PROMPT, tokviz.plan("relevance", keep=9), 2)
    assert views[1].trace.reduction.kept.tolist() == alone.reduction.kept.tolist()
