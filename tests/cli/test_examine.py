"""diagnose, check and search from the shell, on the embedded model and on a tiny one."""

import json

import numpy as np
import pytest

from tests.example_scenes import THING
from tests.fakes import six_token_trace
from tests.models.tiny import TINY, save
from tokviz.cli import examine as examine_commands
from tokviz.cli.main import main
from tokviz.examine import faithfulness
from tokviz.examine.counterfactual import Certificate

pytestmark = pytest.mark.slow

ASKED = [str(THING.picture), "--prompt", f"what is in the {THING.place} ?"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A question to a tiny model: a search answers it hundreds of times."""
    return [*ASKED, "--model", str(save(TINY["llava"], tmp_path_factory.mktemp("tiny")))]


def said(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_diagnose_prints_a_line_for_each_word_and_how_often_its_flag_is_right(capsys):
    lines = said(capsys, "diagnose", *ASKED).splitlines()
    assert f"{THING.place} ? → {THING.name}" in lines[0]
    assert "! = flagged" in lines[1]
    assert lines[2][2:].startswith(f"{THING.name} ")
    assert "wrong answers were flagged" in lines[-1]


def test_a_map_is_checked_against_its_rivals(quick, capsys, monkeypatch):
    monkeypatch.setattr(faithfulness, "RANDOM_ORDERS", 1)
    monkeypatch.setattr(faithfulness, "SHARES", (0.1,))
    curves = faithfulness.removal_curves
    monkeypatch.setattr(
        faithfulness, "removal_curves", lambda score, order, fractions: curves(score, order, [0.5])
    )
    record = json.loads(said(capsys, "check", *quick, "--analysis", "cls_attention", "--json"))
    assert set(record["orders"]) == {"the map", "random", "centre"}
    assert record["orders"]["the map"]["most_first"][0] == pytest.approx(1)
    gaps = {name: one["gap"] for name, one in record["orders"].items()}
    assert record["beats_chance"] == (gaps["the map"] > max(gaps["random"], gaps["centre"]))


def test_a_map_is_held_against_the_place_where_it_should_look():
    trace = six_token_trace()  # 2 x 3 tokens
    left = trace.layout.box[[0, 3]]
    region = [left[:, 0].min(), left[:, 1].min(), left[:, 2].max(), left[:, 3].max()]
    found = examine_commands.look_record(np.array([6, 0, 0, 2, 1, 1.0]), trace, [region])["region"]
    assert (found["hit"], found["energy"], found["area"]) == (True, 0.8, pytest.approx(1 / 3))
    assert "inside, 80% of the map's sum in it" in examine_commands.look_text({"region": found})
    other = examine_commands.look_record(np.array([0, 9, 0, 0, -1, 0.0]), trace, [region])
    assert (other["region"]["hit"], other["region"]["energy"]) == (False, None)
    assert examine_commands.look_record(np.ones(6), trace, []) == {}


@pytest.mark.parametrize("region", ["1,2,3", "left", "5,0,1,9", "0,0,1e-9,1e-9"])
def test_a_region_that_cannot_be_used_is_refused(quick, capsys, region):
    asked = [*quick, "--analysis", "cls_attention", "--region", region]
    assert main(["check", *asked]) == 2
    assert "--region" in capsys.readouterr().err


def test_an_analysis_without_a_map_cannot_be_checked(quick, capsys):
    assert main(["check", *quick, "--analysis", "uncertainty"]) == 2
    assert "no map over the visual tokens" in capsys.readouterr().err


def test_a_search_shows_the_answers_before_and_after(quick, capsys):
    record = json.loads(said(capsys, "search", *quick, "--limit", "500", "--json"))
    assert record["after"] != record["before"] == said(capsys, "answer", *quick).strip()
    assert 0 < len(record["tokens"]) < 36
    assert record["found"]


def test_the_smallest_budget_of_a_method_is_found(quick, capsys):
    record = json.loads(
        said(capsys, "search", *quick, "--for", "keep", "--method", "uniform", "--json")
    )
    tried = {int(budget): holds for budget, holds in record["tried"].items()}
    assert all(holds for budget, holds in tried.items() if budget >= record["keep"])
    assert not max((b for b, holds in tried.items() if not holds), default=0) > record["keep"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--for", "keep"], "go together"),
        (["--method", "uniform"], "go together"),
        (["--limit", "0"], "more than 0 seconds"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_words(quick, arguments, complaint, capsys):
    assert main(["search", *quick, *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_a_certificate_without_a_set_says_only_that(certificate):
    text = examine_commands.certificate_text(certificate)
    assert text.splitlines() == [
        "The answer stays 'yes' with every visual token removed.",
        "9 answers written in 1.0 s.",
    ]


@pytest.fixture
def certificate():
    """An answer that needs no image."""
    return Certificate("necessary", np.zeros(0, int), False, "yes", "yes", True, 9, 1.0)


def test_every_examination_takes_several_pictures(quick, capsys):
    """They once took one, and `answer` alone took more."""
    asked = [quick[0], *quick, "--max-new-tokens", "2", "--json"]
    n = 2 * 36
    said(capsys, "diagnose", *asked)
    found = json.loads(said(capsys, "analyse", *asked[:-3], "--json", "--analysis", "attention"))
    assert np.shape(found["values"])[-1] == n
    json.loads(said(capsys, "check", *asked, "--analysis", "attention"))
    budget = json.loads(said(capsys, "search", *asked, "--for", "keep", "--method", "random"))
    assert budget["total"] == n
    assert min(map(int, budget["tried"])) == 2, "one token for each picture"
