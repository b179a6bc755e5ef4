"""Whatever a trace's header claims costs little: it is drawn, or refused in one sentence.

All ways in are one reader: the page's upload, the folder of examples, the commands, the notebook.
"""

import json
import logging
import os
import resource
import time
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest

import tokviz
from components.ask.opening import OpenHandlers
from components.runs.stored_examples import StoredExamples
from tests.components.fake_vlm import fake_site
from tests.hostile_files import changed, kinds, parts_of, places, put, with_arrays, with_header
from tests.view.fakes import fake_trace, merged, stage
from tokviz.cli import main as cli
from tokviz.errors import TokvizError, TraceError
from tokviz.matrix import Reduction
from tokviz.trace import open_trace, trace_io
from tokviz.view.explorer import explorer_payload
from tokviz.view.notebook import frame

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NUMBERS = (0, -1, 10**3, 10**6, 2**31, 10**300, float("nan"))
MOST_BYTES = 200 * 2**20
MOST_SECONDS = 10
"""Five times what is promised, so that a busy machine fails nobody."""
DRAWN = ("sizes", "tiles", "stages")
"""Fields of stored examples with which the run is drawn, too: that takes a while."""
KINDS = kinds()
STORED = ("scene_1", "scene_2--2-visionzip", "mistake_1--3-fastv")


def files():
    """Return every kind of trace by name: those made by hand, and stored examples."""
    found = {name: (ROOT / f"assets/traces/{name}.safetensors").read_bytes() for name in STORED}
    return KINDS | found


@pytest.fixture(autouse=True)
def _memory_ends():
    """A reader that takes gigabytes fails here with a MemoryError, not by the kernel's hand."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (pages + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def opened(data, drawn=True):
    """Open and draw a file; return the refusal, or nothing, and check what it cost."""
    tracemalloc.start()
    began, said = time.process_time(), ""
    try:
        trace = open_trace(data)
        if drawn:
            explorer_payload(trace, "run")
    except TraceError as error:
        said = str(error)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < MOST_BYTES, said
    assert time.process_time() - began < MOST_SECONDS, said
    assert len(said) < 400
    return said


@pytest.mark.parametrize(
    "name", [*KINDS, *(pytest.param(name, marks=pytest.mark.weekly) for name in STORED)]
)
def test_every_number_of_a_header_is_bounded(name):
    data = files()[name]
    header = parts_of(data)[1]
    paths = list(places(header))
    fields = {path[0] for path in paths}
    assert {"version", "sizes", "tiles"} <= fields
    refused = 0
    for path in paths:
        for number in NUMBERS:
            try:
                file = with_header(data, put(header, path, number))
                refused += bool(opened(file, path[0] in DRAWN or name in KINDS))
            except AssertionError:
                raise
            except BaseException as error:
                raise AssertionError(f"{path} = {number!r}: {type(error).__name__}") from error
    # 10**300 and NaN are nowhere numbers of a trace
    assert refused >= 2 * len(paths)


def test_the_kinds_have_every_field_with_numbers():
    fields = {path[0] for data in files().values() for path in places(parts_of(data)[1])}
    assert fields >= {
        "version", "model", "sizes", "tiles", "stages", "roles", "timings", "kv_bytes",
        "kv_lengths", "mitigation",
    }  # fmt: skip


WHOLE = KINDS["whole"]
TILE = [0, 8000, 8000, [0, 0, 192, 192], "whole"]
HOSTILE = {
    "a grid of 8,000 x 8,000": changed(WHOLE, tiles=[TILE]),
    "half a character": changed(WHOLE, prompt="a \ud800 b"),
    "half a character in a name": changed(WHOLE, timings={"\udfff": 1}),
    "300 digits": changed(WHOLE, kv_bytes=10**300),
    "infinity": changed(WHOLE, timings={"total": float("inf")}),
    "a boolean": changed(WHOLE, kv_bytes=True),
    "an image number that is a boolean": changed(WHOLE, tiles=[[False, *TILE[1:]]]),
    "200,000 empty arrays": with_arrays(WHOLE, 200_000),
    "20,000 empty arrays": with_arrays(WHOLE, 20_000),
    "200,000 sizes": changed(WHOLE, sizes=[[1, 1]] * 200_000),
    "200,000 tiles": changed(WHOLE, tiles=[[0, 1, 1, [0, 0, 1, 1], "whole"]] * 100_000),
    "200,000 stages": changed(WHOLE, stages=[[]] * 200_000),
    "a million empty lists": changed(WHOLE, notes=[[]] * 1_000_000),
    "nesting": changed(WHOLE, notes=json.loads("[" * 900 + "]" * 900)),
    "notes that are numbers": changed(WHOLE, notes=[5]),
    "an option that is code": changed(
        KINDS["steps"],
        mitigation=parts_of(KINDS["steps"])[1]["mitigation"] | {"options": {"a=1)#": 1}},
    ),
    "a length that no file holds": with_arrays(WHOLE, 1, (0, 2**60)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_all_ways_in_refuse_the_same_file_in_the_same_sentence(what, tmp_path, caplog, capsys):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(HOSTILE[what])
    said = opened(HOSTILE[what])
    assert said
    with pytest.raises(TraceError) as notebook:
        frame(tokviz.open_trace(path))
    assert str(notebook.value) == said
    opening = OpenHandlers(fake_site())
    notice = opening.open_file(str(path), types.SimpleNamespace(session_hash="s"))[3]
    assert notice == {"kind": "bad", "text": said[:1].upper() + said[1:]}
    assert cli.main(["analyse", "--from-trace", str(path), "--analysis", "sinks"]) == 2
    assert capsys.readouterr().err == f"tokviz: {said}\n"
    with caplog.at_level(logging.WARNING):
        assert StoredExamples(tmp_path / "none", more=tmp_path).all == {}
    assert f"the example 'bad' was left out: {said}" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_hostile_length_in_an_array_that_holds_nothing_makes_no_loop():
    trace = fake_trace(words=())
    arrays = dict(trace.arrays) | {"attention": np.zeros((0, 10**7, 6), np.float16)}
    for name in ("attention_heads", "mass", "sink_phi"):
        del arrays[name]
    header, _ = trace_io.unpack(trace.to_bytes())
    header["model"] = {}
    assert "along 'l'" in opened(trace_io.pack(header, arrays))


def test_stages_whose_product_is_far_larger_than_the_file_are_refused():
    """Two dense matrices of 500,000 entries: their product would be formed of 350 million."""
    n = 700
    rows, cols = (part.ravel() for part in np.indices((n, n)))
    dense = Reduction.from_entries(rows, cols, np.ones(n * n), n, n, np.arange(n))
    trace = fake_trace(20, 35)
    for record in (stage(dense), stage(dense)):
        trace = trace.__class__(**{**vars(trace), "stages": (*trace.stages, record)})
    assert "far too many entries together" in opened(trace.to_bytes())


def test_maps_far_larger_than_the_file_are_refused():
    header, arrays = trace_io.start(
        prompt="a ?", answer="a " * 10_000, image_size=(300, 300), grid=(300, 300)
    )
    assert "too many to show" in opened(trace_io.pack(header, arrays))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"kv_bytes": float("nan")}, "JSON"),
        ({"kv_bytes": 10**300}, "16 digits"),
        ({"prompt": "\ud800"}, "half a character"),
        ({"notes": [[]] * 500_000}, "values"),
        ({"kv_bytes": np.int64(3)}, "JSON"),
        ({"version": 2}, "version 2"),
    ],
)
def test_writing_refuses_what_reading_would(header, said, tmp_path):
    good, arrays = trace_io.start(prompt="a", answer="b", image_size=(3, 3), grid=(3, 3))
    with pytest.raises(trace_io.BadTrace, match=said):
        trace_io.write(tmp_path / "run.safetensors", {**good, **header}, arrays)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_be_stored_is_said():
    bare = fake_trace()
    trace = bare.__class__(**{**vars(bare), "kv_bytes": 10**300})
    with pytest.raises(TokvizError, match="cannot be stored: .*16 digits"):
        trace.to_bytes()


def test_whatever_lies_in_the_folder_of_examples_never_stops_the_server(tmp_path, caplog):
    good = fake_trace(stages=(stage(merged(6, 2)),)).to_bytes()
    (tmp_path / "good.safetensors").write_bytes(good)
    (tmp_path / "a[b]*.safetensors").write_bytes(good)
    bare = fake_trace()
    (tmp_path / "bare.safetensors").write_bytes(
        bare.__class__(**{**vars(bare), "images": ()}).to_bytes()
    )
    header, arrays = trace_io.start(
        prompt="a", answer="b", image_size=(3, 3), grid=(3, 3), jpeg=b"no picture"
    )
    trace_io.write(tmp_path / "broken picture.safetensors", header, arrays)
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "two\nlines.safetensors").write_bytes(good)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.safetensors")).write_bytes(good)
    (tmp_path / "notes.txt").write_text("whatever")
    (tmp_path / "index.json").write_text('[5, {"name": "../up"}, {"name": "good", "tag": "t"}]')
    found = StoredExamples(tmp_path / "none", more=tmp_path)
    assert set(found.all) == {"good", "a[b]*"}
    assert found.all["good"].tag == "t"
    assert len(found.value()["items"]) == 2
    said = caplog.text
    for name in ("bare", "broken picture", "empty", "folder", "pipe", "gone", r"two\nlines"):
        assert f"the example '{name}' was left out" in said
    assert "2 entries were left out" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["{", "[" * 9999, "NaN", '"x"', "[[]]", "\ud800"])
def test_an_index_that_is_none_is_left_out(text, tmp_path):
    (tmp_path / "index.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "good.safetensors").write_bytes(WHOLE)
    assert set(StoredExamples(tmp_path / "none", more=tmp_path).all) == {"good"}
