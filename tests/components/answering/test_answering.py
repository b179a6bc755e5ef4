from itertools import count
from types import SimpleNamespace

import pytest

from components.answering import answering
from components.answering.answering import NO_IMAGE, answer
from components.answering.run_request import RunRequest
from components.error_text import INTERNAL_ERROR, error_text
from components.page import build
from components.runs.lane_request import LaneRequest, read_lanes
from components.runs.models import Models
from components.runs.runs import FULL
from components.screen import StopButton
from components.site import Site
from tests.components.fake_vlm import FakeVLM, fake_site
from tests.view.fakes import BLUE, picture
from tokviz.errors import InputError
from tokviz.trace.lane_view import LaneView


def lane(method="fastervlm", keep=9, **options):
    return {"method": method, "keep": keep, "options": options}


def run(lanes=(), image=None, prompt="what ?", vlm=None, site=None):
    asked = [LaneRequest.from_json(lane) for lane in lanes]
    request = RunRequest(image or picture(BLUE), prompt, "embedded", asked)
    return list(answer(site or fake_site(vlm), request, "s"))


def test_the_answer_streams_and_is_remembered():
    site = fake_site()
    steps = run(site=site)
    assert any(step.picture and step.picture["phase"] == "streaming" for step in steps)
    last = steps[-1]
    assert last.run.traces[FULL].answer == "blue dog."
    assert site.run(last.run.name) is last.run
    assert last.lanes["phase"] == "done"


def test_lanes_run_beside_the_full_answer_and_are_compared():
    lanes = run([lane(), lane("divprune", 18)])[-1].lanes
    assert lanes["full"]["text"] == "blue dog."
    assert lanes["lanes"][0]["changed"]
    assert not lanes["lanes"][1]["changed"]
    assert lanes["lanes"][0]["overlay"]["fates"]
    ratios = {row["name"]: row["ratio"] for row in lanes["lanes"][1]["metrics"]}
    assert ratios["total time"] == "timed once"


def test_a_quick_model_does_not_flood_the_page(monkeypatch):
    """200 steps of 10 ms each are shown every UPDATE_INTERVAL_S seconds, not 200 times."""
    clock = count(1, 0.01)
    monkeypatch.setattr(answering, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = [step for step in run(vlm=FakeVLM(steps=200)) if step.picture]
    expected = 2 / answering.UPDATE_INTERVAL_S
    assert expected * 0.5 <= len(shown) <= expected + 1


@pytest.mark.parametrize("keep", [0, -1, "9", None, 2.5, True, 10**9, float("nan"), [], "<b>"])
def test_a_budget_that_cannot_be_used_is_said_in_its_lane_and_the_rest_runs(keep):
    lanes = run([lane(keep=keep), lane()])[-1].lanes
    assert "keep must be" in lanes["lanes"][0]["error"]
    assert lanes["lanes"][1]["text"]
    assert lanes["full"]["text"]


@pytest.mark.parametrize(
    "bad",
    [
        lane("nonsense"),
        lane(method=None),
        lane(method=["x"]),
        lane(strange=1),
        lane(positions="keep"),
    ],
)
def test_an_unknown_method_or_option_is_said_in_its_lane(bad):
    assert run([bad])[-1].lanes["lanes"][0]["error"]


@pytest.mark.parametrize(
    "sent", [None, "x", {}, [1], [None], [lane()] * 4, [{"method": "x", "options": [1]}]]
)
def test_lanes_that_are_no_lanes_are_refused(sent):
    with pytest.raises(InputError):
        read_lanes(sent)


def test_extra_fields_of_a_lane_are_dropped():
    read = read_lanes([{"method": "fastervlm", "keep": 4, "evil": 1}])
    assert read == [LaneRequest("fastervlm", 4)]
    assert read[0].plan().steps[0].keep == 4


def test_the_position_policy_of_a_lane_reaches_the_plan():
    step = read_lanes([lane() | {"positions": "keep"}])[0].plan().steps[0]
    assert step.position_policy == "keep"
    assert read_lanes([lane()])[0].plan().steps[0].position_policy == "repack"
    with pytest.raises(InputError, match="keep or repack"):
        read_lanes([lane() | {"positions": "sideways"}])[0].plan()


def test_without_a_picture_one_is_asked_for():
    with pytest.raises(InputError, match="Choose a picture"):
        list(answer(fake_site(), RunRequest(None, "p", "embedded"), "s"))
    assert NO_IMAGE.startswith("Choose")


def test_an_empty_prompt_is_refused_and_the_next_request_works():
    with pytest.raises(InputError, match="empty"):
        run(prompt=" \x00 ")
    assert run()[-1].run


def test_a_model_that_is_not_offered_is_refused():
    with pytest.raises(InputError, match="does not offer"):
        list(answer(fake_site(), RunRequest(picture(), "p", "../secret"), "s"))


def test_words_the_model_does_not_know_are_named():
    last = run(prompt="is xyzzy there ?")[-1]
    assert "“xyzzy”" in last.text
    assert last.kind == "warn"


def test_a_stopped_run_keeps_what_was_written():
    site = fake_site(FakeVLM(steps=1000))
    steps = answer(site, RunRequest(picture(), "p", "embedded"), "stopper")
    next(steps)
    next(steps)
    site.stops.stop("stopper")
    last = list(steps)[-1]
    assert last.run.traces[FULL].answer
    assert last.text.startswith("Stopped")


def test_only_our_own_errors_are_shown(caplog):
    assert error_text(InputError("keep must be 1.")) == "Keep must be 1."
    assert error_text(RuntimeError("/secret/path")) == INTERNAL_ERROR
    assert "RuntimeError" in caplog.text
    assert "/secret/path" not in caplog.text  # a message may quote the prompt


def test_a_lane_may_have_its_own_question():
    vlm = FakeVLM()
    steps = run([lane(keep=9) | {"prompt": "and this ?"}, lane(keep=9)], vlm=vlm)
    assert [(prompt, len(plans)) for prompt, plans in vlm.asked] == [
        ("what ?", 2),
        ("and this ?", 1),
    ]
    own, same = steps[-1].lanes["lanes"]
    assert "its own question" in own["verdict"]
    assert "changed" in same["verdict"]
    prompts = {number: trace.prompt for number, trace in steps[-1].run.traces.items()}
    assert prompts == {FULL: "what ?", 0: "and this ?", 1: "what ?"}
    with pytest.raises(InputError, match="question of a lane"):
        read_lanes([lane() | {"prompt": ["x"]}])


def test_a_lane_may_have_its_own_model_and_says_so():
    loaded = {}
    several = Models(
        ("embedded", "second", "third"), lambda name: loaded.setdefault(name, FakeVLM())
    )  # noqa: E501
    lanes = read_lanes([lane(), lane() | {"model": "second"}, lane() | {"model": "nobody"}])
    request = RunRequest(picture(BLUE), "what ?", "embedded", lanes)
    *_, last = answer(Site(models=several), request, "s")
    cards = last.lanes["lanes"]
    assert [card.get("by") for card in cards] == ["", "second", None]
    assert cards[1]["words"]
    assert not cards[1]["distances"]
    assert "does not offer the model 'nobody'" in cards[2]["error"]
    assert [len(vlm.asked) for vlm in loaded.values()] == [1, 1]
    request.lanes.append(LaneRequest("fastervlm", 9, model="third"))
    with pytest.raises(InputError, match="at most 2 models"):
        list(answer(Site(models=several), request, "s"))


def test_a_mitigation_gets_the_options_of_its_lane():
    sent = lane() | {"mitigation": "pai", "mitigation_options": {"alpha": 0.7}}
    plan = read_lanes([sent])[0].plan()
    assert plan.mitigation.options == {"alpha": 0.7}
    for bad in ({"alpha": 9}, {"strange": 1}):
        with pytest.raises(InputError):
            read_lanes([sent | {"mitigation_options": bad}])[0].plan()
    with pytest.raises(InputError, match="options of a lane"):
        read_lanes([sent | {"mitigation_options": [1]}])


def test_the_time_limit_acts_while_the_model_is_in_one_long_pass():
    """Nothing is yielded meanwhile; a flag that was looked at between steps came too late."""
    vlm, waited = FakeVLM(), []

    def stream(*args, stop, **options):
        waited.append(stop.wait(30))
        yield [LaneView("all", error="the run was stopped before the model had begun to answer.")]

    vlm.stream = stream
    request = RunRequest(picture(BLUE), "what ?", "embedded", seconds=0.05)
    with pytest.raises(InputError, match="before the model had begun"):
        list(answer(fake_site(vlm), request, "s"))
    assert waited == [True]


def test_a_closed_tab_stops_its_run_and_its_download():
    site = fake_site()
    tab = SimpleNamespace(session_hash="tab")
    with site.stops.run("tab") as run_flag, site.stops.run("tab loads") as load_flag:
        StopButton(site).closed(tab)
        assert run_flag.left
        assert run_flag.is_set()
        assert load_flag.is_set()
    page = build(site)
    assert any(target[1] == "unload" for one in page.fns.values() for target in one.targets)
