"""Other people's decisions: read from JSON and npz, checked like an upload, run and shown."""

import io
import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from components.ask.opening import OpenHandlers
from components.site import Site
from scripts import export_trained
from tokviz.cli.main import main
from tokviz.errors import InputError
from tokviz.plans import chosen, staged
from tokviz.trace import open_trace
from tokviz.trace.decisions import is_decisions, read_decisions

IMPORTS = export_trained.FOLDER


def as_json(**fields):
    return json.dumps({"n": 9, **fields}).encode()


def as_npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 30), "red").save(path)
    return path


def test_kept_tokens_of_several_layers_are_one_matrix():
    """ATP-LLaVA and p-MoD prune layer by layer; tokens are numbered as in the whole image."""
    stages = [{"layer": 4, "kept": [0, 2, 4, 8]}, {"layer": 12, "kept": [2, 8]}]
    found = read_decisions(as_json(method="ATP-LLaVA", stages=stages))
    assert [(s.layer, s.reduction.n, s.reduction.m) for s in found.stages] == [
        (4, 9, 4),
        (12, 4, 2),
    ]
    assert found.reduction.kept.tolist() == [2, 8]


def test_groups_become_means():
    """TokenPacker and poolings: each new token stands for a block."""
    found = read_decisions(as_json(method="TokenPacker", groups=[[0, 1, 3, 4], [2, 5]]))
    matrix = found.reduction.matrix()
    assert matrix[0, [0, 1, 3, 4]].tolist() == [0.25] * 4
    assert found.reduction.fate.tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2]


def test_any_matrix_can_be_given():
    """VoCo-LLaMA: a few tokens that are mixtures of all."""
    rows, cols = np.divmod(np.arange(18), 9)
    fields = {
        "rows": rows.tolist(),
        "cols": cols.tolist(),
        "weights": [0.5] * 18,
        "position": [0, 8],
    }
    assert read_decisions(as_json(**fields)).reduction.matrix().tolist() == [[0.5] * 9] * 2


def test_npz_says_the_same_as_json():
    group = np.array([0, 0, 1, 0, 0, 1, -1, -1, -1])
    ours = read_decisions(as_npz(n=9, method="T", group=group))
    theirs = read_decisions(as_json(method="T", groups=[[0, 1, 3, 4], [2, 5]]))
    assert ours.method == "T"
    assert np.array_equal(ours.reduction.matrix(), theirs.reduction.matrix())
    staged = {"stages.0.layer": 4, "stages.0.kept": [0, 2, 4], "stages.1.kept": [2]}
    assert read_decisions(as_npz(n=9, **staged)).reduction.kept.tolist() == [2]


def test_a_trace_of_it_opens_in_the_page(picture, tmp_path):
    data = as_json(method="CoViPAL", kept=[0, 4], prompt="what ?", answer="a cat")
    trace = read_decisions(data).trace(picture)
    assert trace.reduction.kept.tolist() == [0, 4]
    assert trace.layout.box[4].tolist() == [10, 10, 20, 20]
    trace.save(tmp_path / "t.safetensors")
    tab = SimpleNamespace(session_hash="tab")
    shown = OpenHandlers(Site()).open_file(str(tmp_path / "t.safetensors"), tab)
    assert shown[1] == "what ?"
    assert "nothing was run" in str(shown).lower()


def test_the_command_writes_a_trace(picture, tmp_path, capsys):
    (tmp_path / "d.json").write_bytes(as_json(method="M", kept=[0, 4]))
    out = tmp_path / "t.safetensors"
    assert (
        main(["import", str(tmp_path / "d.json"), "--image", str(picture), "--trace", str(out)])
        == 0
    )
    assert open_trace(out).reduction.kept.tolist() == [0, 4]
    assert "2 of 9 visual tokens" in capsys.readouterr().out
    assert main(["import", str(tmp_path / "d.json"), "--trace", str(out)]) == 2
    assert "--image" in capsys.readouterr().err


def test_imported_decisions_run_as_a_plan():
    plan = chosen(read_decisions(as_json(method="M", kept=[0, 4])).reduction, "M")
    assert plan.label == "M, 2 tokens"


def dense_twice():
    """Two stages of 490,000 entries, whose product would be formed of 343 million."""
    rows, cols = (part.ravel() for part in np.indices((700, 700)))
    one = {"rows": rows, "cols": cols, "weights": np.ones(490_000), "position": np.arange(700)}
    named = {f"stages.{i}.{name}": array for i in range(2) for name, array in one.items()}
    return as_npz(n=700, **named)


def damaged_npz():
    """Compressed data with other bytes in its middle."""
    out = io.BytesIO()
    np.savez_compressed(out, n=9, kept=np.arange(9) % 7)
    data = bytearray(out.getvalue())
    at = data.index(b"kept.npy") + 60
    data[at : at + 30] = b"\xff" * 30
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "neither"),
        (b"[1]", "one JSON object"),
        (b"[" * 100_000, "neither"),
        (as_json(), "must have one of"),
        (as_json(kept=[0], groups=[[1]]), "it has 2"),
        (as_json(n=0, kept=[0]), "n must be a whole number"),
        (as_json(n=10**9, kept=[0]), "n must be a whole number"),
        (as_json(n=True, kept=[0]), "n must be a whole number"),
        (as_json(kept=[9]), "0 to 8"),
        (as_json(kept=[-1]), "0 to 8"),
        (as_json(kept=[10**30]), "16 digits"),
        (as_json(kept=[0, 0]), "only once"),
        (as_json(kept=[]), "at least one"),
        (as_json(kept="all"), "list"),
        (as_json(kept=[[0]]), "flat list"),
        (as_json(kept=[0.5]), "whole numbers"),
        (as_json(kept=[None]), "whole numbers"),
        (as_json(groups=[[]]), "empty"),
        (as_json(groups=[0]), "list"),
        (as_json(group=[0]), "must be 9 numbers"),
        (as_json(group=[-1] * 9), "no token"),
        (as_json(rows=[0], cols=[0], weights=[1]), "position"),
        (as_json(rows=[0, 0], cols=[1, 1], weights=[1, 1], position=[0]), "come once"),
        (
            b'{"n": 9, "rows": [0], "cols": [0], "weights": [NaN], "position": [0]}',
            "NaN, which is no number",
        ),
        (as_json(stages=[]), "1 to 256"),
        (as_json(stages=[3]), "not an object"),
        (as_json(stages=[{"kept": [1]}, {"kept": [2]}]), "stage 1 uses token 2"),
        (as_json(kept=[0], grid=[2, 2]), "grid"),
        (as_json(kept=[0], method="x" * 9000), "method must be a text"),
        (b'{"n": 1' + b"0" * 300 + b"}", "over 16 digits"),
        (b'{"n": 9, "kept": [NaN]}', "NaN, which is no number"),
        (b'{"n": true, "kept": [0]}', "n must be a whole number"),
        (b'{"n": 9, "kept": [0], "method": "\\ud800"}', "half a character"),
        (b'{"n": 9, "groups": [' + b"[]," * 3_000_000 + b"[]]}", "over 2,500,000 values"),
        (b'{"n": 99999, "stages": [' + b'{"kept": [0]},' * 99 + b'{"kept": [0]}]}', "too many"),
        (dense_twice(), "far too many entries together"),
        (damaged_npz(), "npz file is damaged"),
        (b"PK\x03\x04 and nothing", "npz file is damaged"),
        (as_npz(n=9, kept=np.array([object()], object)), "damaged"),
        (as_npz(n=9, kept=np.zeros(2**23)), "unpacks to over"),
    ],
    ids=range(40),
)
def test_a_hostile_file_is_a_sentence(data, sentence):
    with pytest.raises(InputError, match=sentence):
        read_decisions(data)


def test_a_zip_that_lies_about_its_size_is_refused():
    data = bytearray(as_npz(n=9, kept=np.zeros(2**23, np.int64)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = next(i for i in archive.infolist() if i.filename == "kept.npy").file_size
    data = bytes(data).replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    with pytest.raises(InputError):
        read_decisions(data)


def test_the_stored_stand_ins_are_what_the_script_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_trained, "FOLDER", tmp_path)
    export_trained.main()
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [
        "by_layers.json", "by_layers.safetensors", "pooled.json", "pooled.safetensors",
    ]  # fmt: skip
    for name in ("by_layers", "pooled"):
        stored = IMPORTS / f"{name}.json"
        assert (tmp_path / f"{name}.json").read_text() == stored.read_text()
        kept = open_trace(IMPORTS / f"{name}.safetensors").reduction
        assert (kept.matrix() == read_decisions(stored).reduction.matrix()).all()


@pytest.mark.parametrize("name", ["by_layers", "pooled"])
def test_stored_traces_and_decisions_open_in_the_page(name):
    tab, site = SimpleNamespace(session_hash="tab"), Site()
    trace = OpenHandlers(site).open_file(str(IMPORTS / f"{name}.safetensors"), tab)
    assert "stand-in" in trace[3]["text"]
    picture = str(export_trained.PICTURE)
    opened = OpenHandlers(site).open_file(str(IMPORTS / f"{name}.json"), tab, picture)
    assert opened[3]["text"] == trace[3]["text"]
    assert opened[1] == export_trained.PROMPT


def test_decisions_without_a_picture_say_what_to_do(tmp_path):
    (tmp_path / "d.json").write_bytes(as_json(method="M", kept=[0, 4]))
    (tmp_path / "d.npz").write_bytes(as_npz(n=9, kept=[0, 4]))
    for file in ("d.json", "d.npz"):
        shown = OpenHandlers(Site()).open_file(
            str(tmp_path / file), SimpleNamespace(session_hash="tab")
        )
        assert "put the one picture" in shown[3]["text"]


def test_a_trace_is_not_taken_for_decisions(picture, tmp_path):
    read_decisions(as_json(kept=[0, 4])).trace(picture).save(tmp_path / "t.safetensors")
    assert not is_decisions(tmp_path / "t.safetensors")
    (tmp_path / "d.json").write_bytes(b"\n  " + as_json(kept=[0]))
    assert is_decisions(tmp_path / "d.json")
    (tmp_path / "x").write_bytes(b"hello")
    assert not is_decisions(tmp_path / "x")


def test_stages_keep_their_layers_in_a_plan():
    first, second, third = {"kept": list(range(6))}, {"kept": [0, 4]}, {"kept": [4]}
    later = [{"layer": 2, **second}, {"layer": 2, **third}]
    found = read_decisions(as_json(stages=[first, *later]))
    plan = staged([(stage.layer, stage.reduction) for stage in found.stages], "M")
    assert [step.place for step in plan.steps] == ["before", "language_model"]
    ((layer, done),) = plan.steps[1].inside
    assert (layer, done.n, done.kept.tolist()) == (2, 6, [4])
    with pytest.raises(InputError, match="order of their layers"):
        staged([(3, done), (2, done)])
