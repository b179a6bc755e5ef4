"""The desk with the model that ships: one of its real mistakes is examined, forced, taken apart."""

import base64
import types

import pytest

import tokviz
from components.desk.panel import DeskHandlers
from components.desk.saving import server_functions
from components.runs.models import Models
from components.runs.runs import FULL
from components.runs.stored_examples import StoredExamples
from components.site import Site
from components.widgets.widget import ASSETS
from tokviz.examine.diagnosis import how_often
from tokviz.trace import open_trace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ASSETS / "model" / "config.json").is_file(), reason="the embedded model is not here"
    ),
]
REQUEST = types.SimpleNamespace(session_hash="doubter")


def event(**data):
    return types.SimpleNamespace(_data=data)


@pytest.fixture(scope="module")
def desk():
    return DeskHandlers(Site(stored=StoredExamples(), models=Models()))


@pytest.fixture(scope="module")
def served(desk):
    """The desk's server functions by name."""
    return {function.__name__: function for function in server_functions(desk.site)}


@pytest.fixture(scope="module")
def mistake(desk):
    """A stored "yes" to a thing that is not in the picture."""
    return next(
        one.run for one in desk.site.stored.all.values()
        if "mistake" in one.note and one.run.traces[FULL].answer.startswith("yes")
    )  # fmt: skip


@pytest.fixture(scope="module")
def case(desk, mistake):
    *_, value = desk.examine("embedded", mistake.name, REQUEST)
    assert not value["error"]
    return value["case"]


def test_every_word_has_reasons_numbers_and_candidates(case):
    (word,) = [word for word in case["words"] if word["text"].startswith("yes")]
    assert word["reason"]
    names = [name for name, *_ in word["facts"]]
    known = {"probability", "likelier than with no picture", "attention on the picture"}
    assert known <= set(names)
    assert "yes" in word["candidates"][0]["text"]
    assert word["candidates"][0]["chosen"]
    assert "no" in [one["text"].strip() for one in word["candidates"]]
    assert "mistake" in case["note"]
    assert case["how_often"] == how_often()


def test_a_case_is_a_copy_so_that_a_shared_example_stays_as_it_was(desk, case, mistake):
    assert mistake.case is None
    assert case["run"] != mistake.name
    assert set(desk.site.run(case["run"]).traces) == {FULL}


def test_a_forced_word_really_begins_the_new_answer(desk, case):
    word = case["words"][0]
    no = next(one for one in word["candidates"] if one["text"].strip() == "no")
    *_, value = desk.force(event(run=case["run"], at=word["at"], token=no["id"]), REQUEST)
    (forced,) = value["case"]["forced"]
    assert forced["text"].startswith("no")
    trace = desk.site.run(case["run"]).traces[forced["lane"]]
    assert trace["answer_ids"][0] == no["id"]
    assert trace["answer_prob"][0] == pytest.approx(no["probability"], abs=1e-3)
    _, _, overlay, lanes, *_ = desk.open_run(event(run=case["run"], lane=forced["lane"]))
    assert lanes["plans"][0]["forced"] == [no["id"]]
    assert overlay["answer"] == trace.answer


@pytest.mark.parametrize("sent", [{}, {"at": 0, "token": 10**9}, {"at": True, "token": "<b>"}])
def test_only_candidates_can_be_forced(desk, case, sent):
    *_, value = desk.force(event(run=case["run"], **sent), REQUEST)
    assert "candidates" in value["error"]


def test_removing_the_certificate_really_changes_the_answer(desk, case):
    *_, value = desk.search(event(run=case["run"], kind="necessary"), REQUEST)
    assert not value["error"]
    run = desk.site.run(case["run"])
    certificate, lane = run.case.found["necessary"]
    (shown,) = value["case"]["found"]
    assert shown["said"] == certificate.sentence()
    if certificate.found:
        assert lane is not None
        assert run.traces[lane].answer.strip() == certificate.after.strip() != certificate.before
        assert run.traces[lane].reduction.m == run.traces[FULL].n - len(certificate.tokens)
        assert shown["picture"].startswith("data:image/jpeg;base64,")


def test_mitigations_answer_again_and_the_case_is_saved(desk, served, case, monkeypatch):
    save_case = served["save_case"]
    some = {name: tokviz.MITIGATIONS[name] for name in ("pai", "vcd", "hip", "cai", "blind")}
    monkeypatch.setattr(tokviz, "MITIGATIONS", some)  # the browser's tests try all of them
    *_, value = desk.mitigate(event(run=case["run"]), REQUEST)
    mitigations = value["case"]["mitigations"]
    assert len(mitigations) >= 4
    run = desk.site.run(case["run"])
    assert all(run.traces[one["lane"]].mitigation for one in mitigations)
    run.prompt = "<script>alert(1)</script>"
    page = base64.b64decode(save_case({"run": case["run"], "kind": "page"})["data"]).decode()
    assert how_often() in page
    assert len(page) < 5 * 2**20
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert mitigations[0]["title"] in page
    assert page.count("data:image/jpeg") >= 3
    assert all("timed once" in one["cost"] for one in mitigations), "one timing is no verdict"
    changed = [one["changed"] for one in mitigations]
    assert changed == sorted(changed, reverse=True)
    saved = save_case({"run": case["run"], "kind": "trace"})
    assert open_trace(base64.b64decode(saved["data"])).answer == case["answer"]


@pytest.mark.parametrize("asked", [None, [], {}, {"run": "x"}, {"run": 3, "kind": "page"}])
def test_a_case_that_is_not_there_is_a_sentence(served, asked):
    assert "no longer kept" in served["save_case"](asked)["error"]


def test_where_the_model_looked_for_a_word_is_drawn(served, case):
    word_map = served["word_map"]
    maps = word_map({"run": case["run"], "word": 0})["maps"]
    assert [one["title"] for one in maps] == ["Where it looked", "What speaks for it"]
    assert len({one["picture"] for one in maps}) == 2
    for strange in (None, True, -1, 10**9, "0", [0]):
        assert word_map({"run": case["run"], "word": strange}) == {"maps": []}
    assert "no longer kept" in word_map({"run": ["x"]})["error"]
