"""Every registered method runs on a real model, at its own place, and really removes."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError, MissingSignal
from tokviz.reduction import METHODS

PROMPT = "what is this?"
KEEP = 16


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_runs_on_the_model_or_says_what_is_missing(vlm, cat, name):
    entry = METHODS[name]
    try:
        trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=KEEP), 4)
    except (MissingSignal, InputError) as error:
        assert entry.title in str(error)
        assert isinstance(error, MissingSignal) or name == "fastvggt", "needs several frames"
        return
    full = vlm.answer(cat, PROMPT, None, 4)
    assert trace.stages
    assert len(trace.reduction.fate) == trace.n
    rows = np.array(trace.kv_lengths) - trace.t
    if all(stage.removes for stage in trace.stages):
        last = trace.reduction.m + int(trace.reduction.prefix_cls)
        assert entry.adaptive or last == KEEP
        assert rows[-1] == len(trace.prompt_tokens) - trace.n + last - 1 or rows[-1] < rows[0]
        assert trace.kv_bytes / sum(trace.kv_lengths) == full.kv_bytes / sum(full.kv_lengths)
    elif entry.effect != "bypass":
        assert set(rows) == {np.array(full.kv_lengths)[0] - full.t}
    assert trace.timings["decide"] > 0
