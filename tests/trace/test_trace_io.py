"""The one file that other repositories copy: alone it writes traces that tokviz opens."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import six_token_trace, two_kept_two_merged_two_pruned
from tokviz.errors import TraceError
from tokviz.trace import open_trace, schema, trace_io

ROOT = Path(__file__).parents[2]


def test_copied_alone_it_writes_a_trace_that_opens(tmp_path):
    """The example of docs/trace_format.md, run where tokviz cannot be imported."""
    shutil.copy(ROOT / "tokviz/trace/trace_io.py", tmp_path)
    text = (ROOT / "docs/trace_format.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    code += "\nimport sys\nassert not {'torch', 'tokviz', 'PIL'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    trace = open_trace(tmp_path / "run.safetensors")
    assert (trace.n, trace.answer.strip()) == (576, "yes")
    assert trace.reduction.kept.tolist() == [3, 17, 210]


def test_stages_and_groups_are_what_a_reduction_says():
    header, arrays = trace_io.start(prompt="a ?", answer="b c", image_size=(30, 20), grid=(2, 3))
    trace_io.add_stage(header, arrays, "first", groups=[[0], [1, 2], [5]])
    trace_io.add_stage(header, arrays, "second", kept=[2, 0], layer=3, place="language_model")
    trace = open_trace(trace_io.pack(header, arrays))
    assert [(s.method, s.layer, s.reduction.m) for s in trace.stages] == [
        ("first", None, 3), ("second", 3, 2),
    ]  # fmt: skip
    assert trace.reduction.fate.tolist() == [0, 2, 2, 2, 2, 0]
    assert trace.t == 2


@pytest.mark.parametrize(
    "what", [{}, {"kept": [0], "groups": [[0]]}, {"kept": [6]}, {"groups": [[]]}], ids=str
)
def test_a_stage_that_makes_no_sense_is_refused(what):
    header, arrays = trace_io.start(prompt="a ?", answer="b", image_size=(30, 20), grid=(2, 3))
    with pytest.raises(ValueError, match="either|numbered|no member"):
        trace_io.add_stage(header, arrays, "m", **what)
    assert not header["stages"]


def test_the_documented_header_is_the_written_one():
    header, arrays = trace_io.unpack(six_token_trace(two_kept_two_merged_two_pruned()).to_bytes())
    assert set(header) == set(schema.HEADER)
    ours, _ = trace_io.start(prompt="a", answer="b", image_size=(3, 3), grid=(3, 3))
    assert {"version", "mitigation", "roles", "finish", "answer_marks", *ours} == set(schema.HEADER)
    staged = {name.split(".")[2] for name in arrays if name.startswith("stage.")}
    assert staged == set(schema.STAGE_ARRAYS)
    letters = {letter for f in schema.SCHEMA.values() for letter in f.axes.split()}
    assert letters <= set(schema.AXES)


def test_only_required_fields_are_needed_and_each_mistake_names_its_field():
    header, arrays = trace_io.start(prompt="a", answer="b", image_size=(3, 3), grid=(3, 3))
    for name in schema.REQUIRED_FIELDS[1:]:
        less = {key: value for key, value in header.items() if key != name}
        with pytest.raises(TraceError, match=f"the header has no '{name}'"):
            open_trace(trace_io.pack(less, arrays))
    bare = {name: header[name] for name in schema.REQUIRED_FIELDS[1:]}
    assert open_trace(trace_io.pack(bare, arrays)).answer == "b"
    bad = {**bare, "stages": [["m", "before", None, 9, None, "remove"]]}
    with pytest.raises(TraceError, match="'stages' needs 'stage.0.rows', which is not there"):
        open_trace(trace_io.pack(bad, arrays))
    with pytest.raises(TraceError, match="'kv_bytes' in the header: it must be a whole"):
        open_trace(trace_io.pack({**bare, "kv_bytes": "many"}, arrays))


def test_what_is_no_trace_is_said():
    header, arrays = trace_io.start(prompt="a", answer="b", image_size=(3, 3), grid=(3, 3))
    good = trace_io.pack(header, arrays)
    other = good.replace(rb"{\"version\": 1", rb"{\"version\": 9")
    for data, sentence in ((b"", "cut off"), (good[:-3], "damaged"), (other, "version 9")):
        with pytest.raises(trace_io.BadTrace, match=sentence):
            trace_io.unpack(data)
    assert json.loads(json.dumps(header)) == header


@pytest.mark.parametrize("inner", [5, None, [], {}, "", "5", "[]", '{"version": true}'], ids=str)
def test_a_header_of_another_kind_is_said(inner):
    outer = {"__metadata__": {"format": trace_io.FORMAT, "header": inner}}
    text = json.dumps(outer).encode()
    with pytest.raises(trace_io.BadTrace):
        trace_io.unpack(len(text).to_bytes(8, "little") + text)


def test_a_header_survives_json_and_arrays_are_numpys():
    header, arrays = trace_io.start(prompt="a", answer="b", image_size=(3, 3), grid=(3, 3))
    assert json.loads(json.dumps(header)) == header
    assert all(isinstance(a, np.ndarray) for a in arrays.values())
