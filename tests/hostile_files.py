"""Trace files as a stranger would make them: the bytes of a real one with another header."""

import json

import numpy as np

from tests.fakes import six_token_layout, two_kept_two_merged_two_pruned
from tests.view.fakes import fake_trace, merged, pruned, stage, tiled_trace
from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.trace.stages import MitigationRecord, StageRecord
from tokviz.trace.to_file import layout_arrays


def parts_of(data):
    """Return the outer header, the trace's header and the arrays' bytes."""
    length = int.from_bytes(data[:8], "little")
    outer = json.loads(data[8 : 8 + length])
    return outer, json.loads(outer["__metadata__"]["header"]), data[8 + length :]


def with_header(data, header):
    """Return the file with another header, unchecked; NaN and long numbers are written as such."""
    outer, _, body = parts_of(data)
    outer["__metadata__"]["header"] = json.dumps(header)
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def changed(data, **fields):
    """Return the file with some fields of its header replaced."""
    return with_header(data, parts_of(data)[1] | fields)


def with_arrays(data, count, shape=(0,)):
    """Return the file with so many more arrays that hold nothing."""
    outer, _, body = parts_of(data)
    empty = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 0]}
    outer |= {f"x{i}": empty for i in range(count)}
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def places(value, most=2):
    """Yield the path of every number in a header; of lists of one kind the first ones."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        alike = len(value) > 4 and all(type(inner) is type(value[0]) for inner in value)
        items = list(enumerate(value))[: most if alike else None]
    else:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield ()
        return
    for name, inner in items:
        yield from ((name, *path) for path in places(inner, most))


def put(value, path, new):
    """Return a copy of a header with another value at a path."""
    copied = json.loads(json.dumps(value))
    inner = copied
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = new
    return copied


def steps_trace():
    """A mitigated run with two stages, roles, scores and numbers of every step."""
    layout, first = six_token_layout(), two_kept_two_merged_two_pruned()
    named = Reduction.select([0, 2], 3, score=np.arange(3), roles={"anchor": [0]})
    return Trace(
        prompt="is there a dog ?", answer="yes .",
        model={"name": "toy", "layers": 2, "heads": 2, "hidden_size": 8, "tower_layers": 3,
               "feature_layer": 1, "positions": ["keep"], "prefill_share": {"whole_prompt": 0.5}},
        layout=layout, prompt_tokens=tuple("abcdefgh"), answer_tokens=("yes", " ."),
        arrays=layout_arrays(layout)
        | {"attention": np.ones((2, 2, 6), np.float16), "sink_phi": np.ones((2, 8), np.float16)},
        words={7: "seven"},
        stages=(StageRecord("visionzip", "before", None, first, 0.01),
                StageRecord("aim_mask", "language_model", 1, named, 0.02, "mask")),
        timings={"prefill": 0.5, "total": 1.5}, kv_bytes=7, kv_lengths=(4, 4),
        mitigation=MitigationRecord("vcd", {"alpha": 0.5}, ("contrast",), True,
                                    {"mean": 0.5, "steps": [1, 2]}),
    )  # fmt: skip


def kinds():
    """Return traces of every kind by name: whole, pruned, merged, tiled, with steps."""
    return {
        "whole": fake_trace().to_bytes(),
        "pruned": fake_trace(6, 6, stages=(stage(pruned(36, 9)),)).to_bytes(),
        "merged": fake_trace(stages=(stage(merged(6, 2)),)).to_bytes(),
        "tiles": tiled_trace().to_bytes(),
        "steps": steps_trace().to_bytes(),
    }
