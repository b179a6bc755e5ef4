import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tokviz
from components.answering.run_request import ask_about_shown
from components.ask.several import EMPTY, SeveralHandlers
from components.lessons.lesson_files import LessonError, read_lesson, read_lessons
from components.lessons.panel import LessonHandlers, Work
from components.lessons.tasks import QUANTITIES, check
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.payload_cache import PayloadCache
from tests.view.fakes import fake_trace, merged, pruned, stage, tiled_trace
from tokviz.matrix import Reduction
from tokviz.plans import chosen
from tokviz.view.explorer import find_sinks

ROOT = Path(__file__).parents[3]
LESSONS = read_lessons()
NAMES = {e["name"] for e in json.loads((ROOT / "assets/traces/index.json").read_text())}


@pytest.fixture(scope="module")
def site():
    return Site(Settings(), StoredExamples())


def test_there_are_ten_lessons_and_each_has_tasks():
    assert len(LESSONS) >= 10
    assert len(LESSONS) == len(list((ROOT / "assets/lessons").glob("*.md")))
    for lesson in LESSONS.values():
        assert any(step.task for step in lesson.steps), lesson.name


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_what_is_there(name, site):
    for step in LESSONS[name].steps:
        if step.page:
            run = site.stored.all[step.page["example"]].run
            assert step.lane in run.traces
            words = step.view["words"]
            assert all(word < run.traces[step.lane].t for word in words), (name, step.title)
            if words:
                assert step.view.get("layer", 0) < run.traces[FULL].model["layers"]


@pytest.mark.parametrize("name", LESSONS)
def test_numbers_that_are_asked_for_can_be_computed_from_the_shown_run(name, site):
    for step in LESSONS[name].steps:
        task = step.task
        if task and task.kind == "number":
            run = site.stored.all[step.page["example"]].run
            trace = run.traces[task.where.get("lane", FULL)]
            value = QUANTITIES[task.quantity](trace, task.where)
            assert check(task, run, value)[0]
            assert not check(task, run, value + 2 * task.within + 1)[0]
            assert not check(task, run, None)[0]


def without_sinks(full):
    """The plan of the brush: all tokens but those that are a sink in some layer."""
    return chosen(Reduction.select(np.flatnonzero(~find_sinks(full)[0].any(0)), full.n))


def method(*names, **options):
    """The plan of a method or a mitigation, whatever was answered before."""
    return lambda full: tokviz.plan(*names, **options)


HINTED = {
    ("04-sinks", 4): [without_sinks],
    ("06-prune-or-merge", 3): [method("visionzip", 72)],
    ("08-position-bias", 2): [method("fastv", 64), method("random", 64)],
    ("08-position-bias", 3): [method("fastervlm", 144, positions="keep")],
    ("09-when-it-flips", 1): [method("visionzip", 4)],
    ("09-when-it-flips", 2): [method("divprune", 64)],
    ("10-hallucination", 5): [method(mitigation="vcd")],
}
"""Lesson and step -> what its hint says to run on the step's own question."""


@pytest.mark.slow
@pytest.mark.parametrize("place", HINTED, ids=str)
def test_who_does_as_the_hint_says_has_done_the_task(place, site, shipped_model):
    name, number = place
    step = LESSONS[name].steps[number - 1]
    stored = site.stored.all[step.page["example"]].run
    run = KeptRun(stored.image, stored.prompt, "m", {FULL: stored.traces[FULL]})
    for lane, plan in enumerate(HINTED[place]):
        answer = shipped_model.answer(stored.image, stored.prompt, plan(stored.traces[FULL]))
        run.traces[lane] = answer
    assert check(step.task, run, None)[0]


def lesson(task, page="example: x"):
    return read_lesson(
        "t", f"---\ntitle: T\n---\n## S\n```page\n{page}\n```\n```task\n{task}\n```\n"
    )


def test_a_choice_is_checked():
    task = lesson("ask: Q\nchoose: [a, b]\nright: 2\nwhy: W").steps[0].task
    assert check(task, None, "b") == (True, "Right. W")
    assert not check(task, None, "a")[0]
    assert not check(task, None, None)[0]


def with_a_sink():
    """All tokens; from layer 2 on the last of them is a sink."""
    trace = fake_trace(6, 6)
    phi = np.zeros_like(trace.arrays["sink_phi"])
    phi[2:, trace.layout.position[-1]] = 7
    sunk = {"sink_phi": phi, "sink_dims": np.array([1], np.int32)}
    return replace(trace, arrays=trace.arrays | sunk)


def run_with(**stages):
    """A run with a lane per stage: fastervlm answers otherwise, visionzip as with all tokens."""
    traces = {FULL: with_a_sink()}
    for number, (name, one) in enumerate(stages.items()):
        said = {"answer": "a cat"} if name == "fastervlm" else {}
        traces[number] = fake_trace(6, 6, stages=(one,), **said)
    return KeptRun(None, "Is there a CAT ?", "m", traces)


@pytest.mark.parametrize(
    ("doing", "done"),
    [
        ("{method: visionzip}", True),
        ("{method: fastv}", False),
        ("{method: visionzip, keep_at_most: 4}", False),
        ("{method: fastervlm, keep_at_most: 9}", True),
        ("{lanes_at_least: 2}", True),
        ("{lanes_at_least: 3}", False),
        ("{pictures_at_least: 1}", True),
        ("{pictures_at_least: 2}", False),
        ("{prompt_has: cat}", True),
        ("{prompt_has: dog}", False),
        ("{prompt_lacks: cat}", False),
        ("{answer: changes}", True),
        ("{answer: stays}", True),
        ("{answer: stays, method: fastervlm}", False),
        ("{answer: stays, method: visionzip}", True),
        ("{answer: changes, method: visionzip}", False),
        ("{sinks: removed, method: fastervlm}", True),
        ("{sinks: removed, method: visionzip}", False),
        ("{sinks: removed, answer: stays}", False),
    ],
)
def test_what_was_done_is_seen_in_the_run(doing, done):
    task = lesson(f"ask: Q\ndone: {doing}").steps[0].task
    run = run_with(fastervlm=stage(pruned(36, 9)), visionzip=stage(merged(36, 5), "visionzip"))
    assert check(task, run, None)[0] is done
    assert not check(task, None, None)[0]


@pytest.mark.parametrize(("layer", "count"), [(0, 0), (2, 1)])
def test_visual_sinks_are_counted_in_a_layer(layer, count):
    task = lesson(f"ask: Q\nnumber: visual_sinks\nlayer: {layer}").steps[0].task
    run = KeptRun(None, "Q", "m", {FULL: with_a_sink()})
    assert check(task, run, count)[0]
    assert not check(task, run, count + 1)[0]


def test_a_run_about_two_pictures_is_seen():
    task = lesson("ask: Q\ndone: {pictures_at_least: 2}").steps[0].task
    two = KeptRun(None, "p", "m", {FULL: tiled_trace()})
    assert check(task, two, None)[0]
    assert not check(task, replace(two, cache=PayloadCache()), None)[0]  # a stored example


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_finds_done_what_came_with_the_page(name, site):
    """Stored examples have lanes; a task to run something must not pass by looking at them."""
    for step in LESSONS[name].steps:
        if step.task and step.task.kind == "done":
            for example in site.stored.all.values():
                assert not check(step.task, example.run, None)[0], step.title


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no front matter", "begins with"),
        ("---\ntitle: [1\n---\n## S\n", "not YAML"),
        ("---\n!!python/object/apply:os.system [x]\n---\n## S\n", "not YAML"),
        ("---\ntitle: T\nevil: 1\n---\n## S\n", "not known"),
        ("---\ntitle: T\n---\nno steps", "has steps"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\n```\n", "one of"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\nnumber: secret\n```\n", "number must be"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\nchoose: [a]\nright: 2\n```\n", "1 to 1"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\nchoose: [yes]\nright: 1\n```\n", "quote"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\ndone: {x: 1}\n```\n", "done takes"),
        ("---\ntitle: T\n---\n## S\n```task\nask: Q\ndone: {sinks: kept}\n```\n", "be removed"),
        ("---\ntitle: T\n---\n## S\n```page\nscript: 1\n```\n", "not known"),
    ],
)  # fmt: skip
def test_a_broken_lesson_is_refused_with_a_sentence(text, said):
    with pytest.raises(LessonError, match=said):
        read_lesson("x", text)


def test_a_broken_file_leaves_the_other_lessons_alone(tmp_path, caplog):
    (tmp_path / "1.md").write_text("broken")
    (tmp_path / "2.md").write_text("---\ntitle: T\n---\n## S\ntext")
    (tmp_path / "3.md").write_bytes(b"\xff\xfe")
    assert list(read_lessons(tmp_path)) == ["2"]
    assert "1.md" in caplog.text


TAB = SimpleNamespace(session_hash="tab")
BOX = 11
"""Where a handler's value for the picture box is."""
SEVERAL = slice(23, 25)
"""Where a handler's values for the row of pictures are."""


@pytest.mark.slow
def test_steps_are_walked_and_the_ends_hold(site):
    teaching = LessonHandlers(site, LESSONS)
    name = next(iter(LESSONS))
    place = teaching.choose(name, TAB)[1]
    assert place == [name, 0]
    assert teaching.back(place, TAB)[1] == [name, 0]
    names, seen = list(LESSONS), [place]
    for _ in range(sum(len(lesson.steps) for lesson in LESSONS.values())):
        place = teaching.onward(place, TAB)[1]
        seen.append(place)
    assert [at for at in seen if at[1] == 0] == [[each, 0] for each in names]
    assert place == [names[-1], len(LESSONS[names[-1]].steps) - 1]


def test_a_lesson_puts_several_pictures_aside_and_brings_them_back(site):
    """Else its questions would be about them, not about what the lesson shows."""
    teaching = LessonHandlers(site, LESSONS)
    stored, name = site.stored, "11-several-pictures"
    sent = Sent((stored.picture_file("scene_1"), stored.picture_file("scene_2")))
    run = stored.all["scene_1"].run.name
    begun = teaching.begin(name, None, run, "which ?", None, sent, TAB)
    assert begun[SEVERAL] == (Sent(), EMPTY)
    film = teaching.go(name, 1, TAB)[SEVERAL]
    assert not film[0]
    assert film[1]["choice"] == ["frames", "8"]
    back = teaching.resume(begun[-1], TAB)
    assert back[SEVERAL][0] == sent
    assert len(back[SEVERAL][1]["items"]) == 2


def test_the_picture_box_shows_the_picture_that_a_lesson_opens(site):
    """It was left empty, although the step's question is about that picture."""
    teaching = LessonHandlers(site, LESSONS)
    box = teaching.choose("01-visual-tokens", TAB)[BOX]
    assert Path(box).name == "scene_2.png"
    assert teaching.go("11-several-pictures", 1, TAB)[BOX] is None  # a film is no picture
    site.runs.put(KeptRun(None, "what ?", "m", {FULL: fake_trace()}, name="mine"))
    assert (
        teaching.resume(Work("mine", "what ?", "/uploads/own.png"), TAB)[BOX] == "/uploads/own.png"
    )


def test_the_example_in_the_picture_box_is_no_upload(site, tmp_path):
    """Gradio gives back a copy of it; a question about it is about the example, as without it."""
    copy = shutil.copy(site.stored.picture_file("scene_2"), tmp_path)
    shown = site.stored.all["scene_2"].run
    asked = ask_about_shown(site, shown.name, shown.prompt, "embedded", upload=str(copy))
    assert (asked.example, asked.source) == ("scene_2", "scene_2")
    assert asked.image is shown.image
    other = site.stored.all["scene_1"].run.name
    about = ask_about_shown(site, other, "why ?", "embedded", upload=str(copy))
    assert (about.image, about.example, about.source) == (str(copy), "", "scene_2")
    own = tmp_path / "own" / "scene_2.png"  # the visitor's own file, under the same name
    own.parent.mkdir()
    own.write_bytes(b"another picture")
    mine = ask_about_shown(site, shown.name, "why ?", "embedded", upload=str(own))
    assert (mine.image, mine.source) == (str(own), "")
    gone = ask_about_shown(site, shown.name, "why ?", "embedded", upload=str(tmp_path / "gone"))
    assert gone.source == ""


def test_an_example_in_the_picture_box_stands_first_in_a_row_of_pictures(site, tmp_path):
    copy = str(shutil.copy(site.stored.picture_file("scene_2"), tmp_path))
    event = SimpleNamespace(_data={"example": "scene_1"})
    _, sent, *_ = SeveralHandlers(site).add(Sent(), copy, "", event)
    assert sent.source == "scene_2,scene_1"


@pytest.mark.parametrize("place", [None, ["", 0], ["../x", 3], ["01-visual-tokens", 99]])
def test_a_strange_place_changes_nothing(site, place):
    teaching = LessonHandlers(site, LESSONS)
    assert teaching.check(place, "", None, None) == ""


def test_the_guide_names_every_quantity():
    guide = (ROOT / "docs/lessons.md").read_text()
    assert set(QUANTITIES) <= set(re.findall(r"`(\w+)`", guide))
