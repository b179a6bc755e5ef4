import types
from dataclasses import replace
from functools import partial

import pytest

from components.answering.widget_values import charts
from components.ask.opening import OpenHandlers, file_note
from components.ask.panel import AskHandlers
from components.compare.opened_lane import open_lane
from components.compare.panel import CompareHandlers
from components.lessons.lesson_files import Lesson, LessonStep
from components.lessons.panel import LessonHandlers
from components.page import build
from components.runs.models import Models
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from components.runs.stored_examples import StoredExamples
from components.screen import StopButton, frame
from components.settings import Settings
from components.site import Site
from components.widgets.widget import STYLES, head
from tests.components.fake_vlm import FakeVLM, fake_site
from tests.view.fakes import BLUE, fake_trace, picture, pruned, stage
from tokviz import METHODS
from tokviz.trace.stages import MitigationRecord
from tokviz.view.run_names import is_own_answer

SAID, OVERLAY, LANES = 1, 2, 3
"""Places in a frame."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    fake_trace().save(home / "traces" / "one.safetensors")
    lane = fake_trace(stages=(stage(pruned(6, 2)),))
    lane.save(home / "traces" / "one--0-fastervlm.safetensors")
    return Site(Settings(), StoredExamples(home), Models(load=lambda name: FakeVLM()))


@pytest.fixture(scope="module")
def page(site):
    return build(site)


def event(**data):
    return types.SimpleNamespace(_data=data)


def request(**query):
    return types.SimpleNamespace(session_hash="tab", query_params=query)


def test_no_event_is_a_public_endpoint_by_accident(page):
    public = {b.api_name for b in page.fns.values() if b.api_visibility != "private"}
    assert public == {"answer", "answer_stream", "methods", "analyses", "models"}


def test_everything_that_runs_the_model_takes_turns(page):
    names = ("ask", "compare", "answer", "answer_stream")
    running = [b for b in page.fns.values() if b.name in names]
    assert len(running) == 4
    assert {(b.concurrency_id, b.concurrency_limit) for b in running} == {("model", 1)}


@pytest.mark.slow
def test_plugins_that_failed_are_named_on_the_page(site, monkeypatch):
    monkeypatch.setattr(METHODS, "broken", {"<b>mine": "ImportError: no"})
    texts = [str(c["props"].get("value")) for c in build(site).config["components"]]
    named = "Plugins that were left out (the log says why): &lt;b&gt;mine."
    assert any(named in text for text in texts)


def test_every_script_and_style_is_on_the_page():
    text = head()
    assert text.count("<script>") == 1
    assert "class Explorer" in text
    assert len(STYLES) == 4
    assert "</script" not in text.removesuffix("</script>")


def test_no_script_builds_markup_from_text():
    assert "innerHTML" not in head()
    assert "insertAdjacentHTML" not in head()
    assert "document.write" not in head()


def test_nothing_is_fetched_from_another_host(page):
    assert "fonts.googleapis" not in head()
    assert not [line for line in head().splitlines() if 'src="http' in line or "url(http" in line]


def test_asking_without_an_own_picture_takes_the_one_that_is_shown(site):
    name = site.runs.put(KeptRun(picture(BLUE), "p", "fake", {FULL: fake_trace()})).name
    *_, last = AskHandlers(site).ask(None, Sent(), "what ?", "embedded", name, request())
    assert last[OVERLAY]["answer"] == "blue dog."


def test_a_mistake_becomes_a_sentence_and_the_page_stays(site):
    *_, last = AskHandlers(site).ask(None, Sent(), "what ?", "embedded", "nothing", request())
    assert last[SAID]["kind"] == "bad"
    assert "Choose a picture" in last[SAID]["text"]
    assert not isinstance(last[OVERLAY], dict) or "answer" not in last[OVERLAY]


def test_a_bug_is_not_shown_to_the_visitor(caplog):
    broken = fake_site(FakeVLM(RuntimeError("/secret")))
    name = broken.runs.put(KeptRun(picture(), "p", "fake", {FULL: fake_trace()})).name
    *_, last = AskHandlers(broken).ask(None, Sent(), "what ?", "embedded", name, request())
    assert "/secret" not in last[SAID]["text"]
    assert "RuntimeError" in caplog.text
    assert "/secret" not in caplog.text  # a message may quote the prompt


def test_comparing_refuses_what_is_no_lane(site):
    (only,) = CompareHandlers(site).compare(
        None, Sent(), "p", "embedded", "", event(plans="x"), request()
    )
    assert only[SAID]["kind"] == "bad"


@pytest.mark.parametrize("lane", [None, 7, "0", [], {"a": 1}])
def test_exploring_a_lane_that_is_not_there_says_so(site, lane):
    name = site.runs.put(KeptRun(picture(), "p", "fake", {FULL: fake_trace()})).name
    assert CompareHandlers(site).explore(name, event(lane=lane))[SAID]["kind"] == "bad"


def test_an_example_opens_with_its_lanes(site):
    _, prompt, row, *shown = OpenHandlers(site).pick(event(example="one"), request())
    assert prompt == "what is this ?"
    assert row["current"] == "one"
    assert shown[LANES]["plans"] == [{"method": "fastervlm", "keep": 2, "options": {}}]


@pytest.mark.parametrize("newer", ["example", "file", "lesson"])
def test_what_is_opened_while_an_answer_is_written_stays(site, tmp_path, newer):
    """The answer's last frame once took the place of the example that had been opened."""
    name = site.runs.put(KeptRun(picture(BLUE), "p", "fake", {FULL: fake_trace()})).name
    frames = AskHandlers(site).ask(None, Sent(), "what ?", "embedded", name, request())
    while "phase" not in next(frames)[OVERLAY]:
        pass
    path = tmp_path / "t.safetensors"
    fake_trace().save(path)
    if newer == "example":
        OpenHandlers(site).pick(event(example="one"), request())
    elif newer == "file":
        OpenHandlers(site).open_file(str(path), request())
    else:
        lesson = Lesson("a", "A", 1, (LessonStep("S", "", {"example": "one"}, None),))
        LessonHandlers(site, {"a": lesson}).choose("a", request())
    assert list(frames) == [frame()]  # changes nothing; Gradio sends it once more at the end


def test_an_unknown_example_changes_nothing_but_the_notice(site):
    shown = OpenHandlers(site).pick(event(example="<script>"), request())[3:]
    assert shown[SAID]["kind"] == "bad"


def test_a_link_opens_an_example_as_it_was_seen(site):
    query = {"example": "one", "layer": "2", "words": "1", "lane": "0"}
    shown = OpenHandlers(site).open_link(request(**query))[3:-1]
    assert shown[OVERLAY]["view"] == {"layer": 2, "words": [1]}
    assert shown[OVERLAY]["lane"] == 0


def test_a_link_brings_its_model_and_its_lanes(site):
    query = {"example": "one", "model": "embedded", "compare": "fastervlm:2,fastv:3"}
    *shown, model = OpenHandlers(site).open_link(request(**query))
    lanes = shown[3 + LANES]
    assert [plan["method"] for plan in lanes["plans"]] == ["fastervlm", "fastv"]
    assert lanes["lanes"][0]["done"]
    assert lanes["lanes"][1] is None
    assert model == "embedded"


def test_a_trace_file_opens_and_a_foreign_one_is_refused(site, tmp_path):
    path = tmp_path / "t.safetensors"
    fake_trace().save(path)
    shown = OpenHandlers(site).open_file(str(path), request())[2:]
    assert shown[OVERLAY]["answer"] == "a dog."
    path.write_bytes(path.read_bytes()[:200])
    assert OpenHandlers(site).open_file(str(path), request())[2:][SAID]["kind"] == "bad"


def test_a_reduced_answer_from_a_file_is_no_full_answer(site, tmp_path):
    """It once stood under "All tokens ... the full answer" with the method's tokens."""
    whole = fake_trace()
    reduced = replace(stage(pruned(whole.n, 2)), method="tome")
    made = {**whole.model, "name": "some/model", "date": "2026-01-02"}
    path = tmp_path / "t.safetensors"
    replace(whole, stages=(reduced,), model=made).save(path)
    _, _, session, said, overlay, lanes, *_ = OpenHandlers(site).open_file(str(path), request())
    note = f"ToMe, 2 of {whole.n}, from your file: made by some/model on 2026-01-02."
    assert note in said["text"]
    assert lanes["full"] is None
    assert [plan["method"] for plan in lanes["plans"]] == ["tome"]
    assert lanes["lanes"][0]["verdict"] == note
    assert overlay["lane"] == 0
    handlers = CompareHandlers(site)
    assert handlers.explore(session, event(lane=0))[OVERLAY]["lane"] == 0
    assert open_lane(site, session, 0)[LANES]["full"] is None
    by_nobody = file_note(replace(whole, model={}))
    assert by_nobody.startswith(f"All tokens, {whole.n} of {whole.n}, from your file")
    assert is_own_answer(whole)
    assert not is_own_answer(replace(whole, mitigation=MitigationRecord("pai", {}, ("attention",))))
    small = replace(whole, model={**made, "picture": "downsample", "whole_tokens": 4 * whole.n})
    assert not is_own_answer(small)
    assert f", {whole.n} of {4 * whole.n}, from your file" in file_note(small)
    assert "All tokens" not in file_note(small)
    forced = replace(whole, model={**made, "forced": 1})
    assert not is_own_answer(forced)
    assert "its beginning (1 token) was forced, from your file" in file_note(forced)


def test_an_upload_is_checked_at_once(site, tmp_path):
    check_image = partial(AskHandlers(site).check_image, model="fake")
    path = tmp_path / "p.png"
    picture().save(path)
    assert "192 × 192" in check_image(str(path))["text"]
    picture().resize((5000, 4000)).save(path)
    assert "5000 × 4000 pixels, read at 2500 × 2000" in check_image(str(path))["text"]
    path.write_bytes(b"%PDF-1.4")
    assert check_image(str(path))["kind"] == "bad"


def test_stopping_without_a_run_says_nothing(site):
    nobody = types.SimpleNamespace(session_hash="nobody")
    assert StopButton(site).stop(nobody) is None  # nothing on the page changes


def test_a_stored_example_is_drawn_once_for_everybody(site):
    stored = site.stored.all["one"].run
    assert charts(stored)[0] is charts(stored)[0]
    assert site.stored.value("one")["items"] is site.stored.value("")["items"]
    own = KeptRun(None, "?", "", stored.traces)
    assert charts(own)[0] is not charts(own)[0]
