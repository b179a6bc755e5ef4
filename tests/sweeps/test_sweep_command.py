"""tokviz sweep: flags reach the sweep, results and complaints go where a shell expects them."""

import json

import pytest

from tokviz.cli.main import main
from tokviz.sweeps import running

FLAGS = ["--max-new-tokens", "3", "--quiet", "--no-baselines"]


def test_a_table_is_swept_from_the_shell(pictures, folder, loaded, tmp_path, capsys):
    source, out = str(pictures / "questions.csv"), str(tmp_path / "out")
    given = ["sweep", source, "--model", str(folder), "--out", out, *FLAGS]
    given += ["--method", "fastervlm,visionzip", "--keep", "9,50%", "--limit", "2"]
    assert main([*given, "--option", "visionzip.contextual=0.5", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["measured_now"], facts["failed"]) == (10, 10, 0)
    assert facts["reasons"] == {}
    assert main([*given, "--keep", "999"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("14 rows (8 measured now, 4 without an answer) in ")
    assert said.err == "tokviz: keep must be 1 to 36 visual tokens, got 999. (4 rows)\n"
    assert main([*given, "--keep", "999", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["failed"] == 4
    assert facts["reasons"] == {"keep must be 1 to 36 visual tokens, got 999.": 4}


def test_a_smaller_picture_and_no_picture_are_measured_beside_methods(
    pictures, folder, loaded, tmp_path, capsys
):
    """A model with one size of picture cannot show a smaller one: that is no failed sweep."""
    given = ["sweep", str(pictures / "questions.csv"), "--model", str(folder), "--limit", "1"]
    given += ["--out", str(tmp_path / "o"), "--max-new-tokens", "3", "--quiet", "--json"]
    assert main([*given, "--method", "norm", "--keep", "9"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["failed"]) == (4, 0)
    assert main([*given, "--method", "downsample", "--keep", "9"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 1


def test_a_bad_flag_is_one_sentence_and_status_2(pictures, capsys, tmp_path):
    source = str(pictures / "questions.csv")
    assert main(["sweep", source, "--option", "x", "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err == "tokviz: --option must be METHOD.NAME=VALUE, got 'x'.\n"
    assert main(["sweep", source, "--method", "fastv", "--out", str(tmp_path / "o")]) == 2
    assert "methods need budgets" in capsys.readouterr().err
    assert main(["sweep", source, "--keep", "16", "--out", str(tmp_path / "o")]) == 2
    assert "budgets need methods: give --method" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "sweep", stopped)
    with pytest.raises(SystemExit) as left:
        main(["sweep", "easy-vqa:test", "--out", "here"])
    assert left.value.code == 130
    assert "is in 'here'; the same command goes on" in capsys.readouterr().err
