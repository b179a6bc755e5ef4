import types

import pytest

from components.board.panel import BoardHandlers, server_functions
from components.figures.making import saver
from components.runs.runs import FULL, KeptRun
from tests.components.fake_vlm import FakeVLM, N, fake_site
from tests.view.fakes import fake_trace, picture

REQUEST = types.SimpleNamespace(session_hash="boarder")


def event(**sent):
    return types.SimpleNamespace(_data=sent)


@pytest.fixture(scope="module")
def site():
    return fake_site()


@pytest.fixture(scope="module")
def session(site):
    return site.runs.put(KeptRun(picture(), "what ?", "embedded", {FULL: fake_trace(6, 6)})).name


def filled(site, session, **sent):
    asked = {"methods": ["fastv", "divprune"], "budgets": ["75%", 9]} | sent
    return list(BoardHandlers(site).fill(session, event(**asked), REQUEST))


@pytest.fixture(scope="module")
def values(site, session):
    return filled(site, session)


def test_every_method_answers_at_every_budget_with_the_baselines(values):
    board = values[-1]["board"]
    assert values[-1]["phase"] == "done"
    assert [row["method"] for row in board["rows"]] == ["downsample", "fastv", "divprune"]
    assert board["rows"][0]["baseline"]
    assert board["budgets"] == [27, 9]
    assert [cell["state"] for cell in board["cells"]] == ["same", "changed"] * 3
    assert board["blind"]["text"] == "nothing"
    assert board["rows"][1]["taxonomy"]["reads"] == ["attention"]


def test_a_cell_says_how_probable_each_word_of_the_full_answer_still_is(values):
    board = values[-1]["board"]
    assert [word["text"] for word in board["words"]] == ["red", "dog", "."]
    same, changed = board["cells"][:2]
    assert same["prob"] == pytest.approx([0.9] * 3)
    assert changed["prob"] == pytest.approx([0.9, 0.2, 0.9])
    assert changed["said"] == [True, False, True]
    assert [w["text"] for w in changed["words"] if w["mark"] == "added"] == ["cat"]
    assert board["chosen"] == [0, 1]
    assert board["blind"]["prob"] == pytest.approx([0.1] * 3)


def test_it_fills_while_it_runs_and_is_kept(site, values):
    states = [[c["state"] for c in v["board"]["cells"]] for v in values if v["board"]]
    assert any("waiting" in one and "same" in one for one in states)
    name = values[-1]["board"]["run"]
    again = BoardHandlers(site).reopen(event(run=name))
    assert again["board"] == values[-1]["board"]
    assert BoardHandlers(site).reopen(event(run="nothing"))["board"] is None


def test_a_cell_opens_in_the_viewer_and_leaves_compare_alone(site, values):
    name = values[-1]["board"]["run"]
    session, _, overlay, lanes, *_ = BoardHandlers(site).open_cell(event(run=name, lane=1))
    assert overlay["id"] == f"{name}:1"
    assert not isinstance(lanes, dict) or "plans" not in lanes
    assert not isinstance(session, str)
    (cell, *_) = server_functions(site)
    assert cell({"run": name, "lane": 1})["overlay"]["n"] == N
    assert "error" in cell({"run": name, "lane": 99})
    assert "error" in cell(None)


def test_the_stop_button_keeps_what_is_done():
    site = fake_site(slow := FakeVLM(steps=1))
    session = site.runs.put(KeptRun(picture(), "what ?", "embedded", {FULL: fake_trace(6, 6)})).name
    slow.pause, seen = 0.05, []
    for value in BoardHandlers(site).fill(
        session, event(methods=["fastv", "divprune"], budgets=[27, 18, 9]), REQUEST
    ):
        seen.append(value)
        if value["board"] and value["board"]["cells"][0]["state"] == "same":
            site.stops.stop("boarder")
    states = [cell["state"] for cell in seen[-1]["board"]["cells"]]
    assert states[0] == "same"
    assert states[-1] == "waiting"
    assert "Stopped" in seen[-1]["board"]["note"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"methods": ["nonsense"]}, "no method"),
        ({"methods": "fastv"}, "list of names"),
        ({"budgets": []}, "1 to 10 budgets"),
        ({"budgets": ["a few"]}, "must be a count"),
        ({"budgets": [0]}, "must be a count"),
        ({"budgets": [True]}, "A budget is"),
        ({"budgets": [1000]}, "1 to 36"),
        ({"methods": [], "smaller": False}, "at least one method"),
        ({"options": {"fastv": {"layer": "x"}}}, "Layer"),
    ],
)
def test_what_cannot_be_filled_is_a_sentence(site, session, sent, said):
    *_, value = filled(site, session, **sent)
    assert said in value["error"]


def test_without_a_run_there_is_nothing_to_fill(site):
    *_, value = filled(site, "")
    assert "Ask a question" in value["error"]


def test_a_figure_of_the_board_has_its_rows_in_the_order_that_is_shown(site, values):
    pytest.importorskip("matplotlib")
    board = values[-1]["board"]
    asked = {"kind": "board", "run": board["run"], "rows": [2, 1], "words": [1], "format": "svg",
             "width": "page", "caption": True, "pictures": "looked"}  # fmt: skip
    found = saver(site)(asked)
    assert found["name"] == "tokviz-picture-board-2x2-attention-page.svg"
    table = site.run(board["run"]).board.table([2, 1], [1])
    assert table.rows == ["DivPrune", "FastV"]
    assert table.texts == [["P 0.90", "P 0.20"]] * 2
