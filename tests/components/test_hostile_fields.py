"""Every field that a browser sends with a run that is there, set to what no browser would send.

Calls with wrong run names end at the first check; here the run, its board, its sweep and its result
are real, so each field is really read.
"""

import inspect
import json
import types
from itertools import count

import numpy as np
import orjson
import pytest

from components.ask.model_picker import PickerHandlers
from components.ask.opening import OpenHandlers
from components.ask.several import SeveralHandlers
from components.board.panel import BoardHandlers
from components.board.panel import server_functions as board_functions
from components.compare.brush import BrushHandlers
from components.compare.keep_sweep import SweepHandlers
from components.compare.panel import CompareHandlers
from components.desk.cases import new_case
from components.desk.panel import DeskHandlers
from components.endpoints.asking import read_files
from components.figures import making
from components.history.panel import HistoryHandlers
from components.lessons.lesson_files import read_lessons
from components.lessons.panel import LessonHandlers
from components.look.saving import server_functions as viewer_functions
from components.maps.panel import MapsHandlers
from components.maps.panel import server_functions as maps_functions
from components.page import build
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from components.runs.shared_runs import SharedRuns
from tests.components.fake_vlm import fake_site
from tests.components.figures.test_figures import packed
from tests.films import clock, write_animation
from tests.view.fakes import fake_trace, picture, pruned, stage
from tokviz.errors import InputError
from tokviz.examine.diagnosis import Report

HOSTILE = [
    None, True, 0, -1, 7, 10**6, 2**31, 10**300, 10**400, -(10**400), 1.5, 1e308, float("nan"),
    float("inf"), "", "x", "\ud800", "9" * 400, "../../etc/passwd", "\0", "x" * 5000, [], [[]],
    [None], [{}], [7], [10**400], [float("nan")], ["\ud800"], [1.5], {}, {"a": 7}, {"\ud800": {}},
    {"path": "/etc/passwd"}, [["x"] * 3] * 3,
]  # fmt: skip
REQUEST = types.SimpleNamespace(session_hash="stranger", query_params={}, headers={})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = fake_site()
    site.shared = SharedRuns(tmp_path_factory.mktemp("shared"), 1)
    return site


@pytest.fixture(scope="module")
def run(site):
    lane = fake_trace(6, 6, (" a", " cat"), stages=(stage(pruned(36, 9), "fastv"),))
    traces = {FULL: fake_trace(6, 6), 0: lane}
    return site.runs.put(KeptRun(picture(), "what ?", "embedded", traces))


def event(sent):
    return types.SimpleNamespace(_data=sent)


def last(found):
    """Return what a handler returns, or the last thing that it yields."""
    if isinstance(found, types.GeneratorType):
        *_, found = found
    return found


@pytest.fixture(scope="module")
def made(site, run):
    """The names of a board, a sweep and a result that are kept."""
    board = last(
        BoardHandlers(site).fill(run.name, event({"methods": ["fastv"], "budgets": [9]}), REQUEST)
    )
    methods = [{"method": "fastv", "options": {}}]
    swept = last(
        SweepHandlers(site).sweep(
            "what ?", "embedded", run.name, event({"methods": methods}), REQUEST
        )
    )
    value, _ = last(
        MapsHandlers(site, site.results).make(
            event({"id": f"{run.name}:-1", "name": "attention"}), REQUEST
        )
    )
    return types.SimpleNamespace(
        board=board["board"]["run"], sweep=swept[0]["run"], result=value["result"]["id"]
    )


def calls(site, run, made):
    """Yield name, function and what a browser would send."""
    lane, figure = {"id": f"{run.name}:0"}, {"format": "svg", "width": "column", "caption": True}
    view = {"map": "attention", "layer": 1, "words": "0,1", "hand": "f"}
    viewer = {f.__name__: f for f in viewer_functions(site)}
    maps = {f.__name__: f for f in maps_functions(site)}
    cell, _ = board_functions(site)
    yield viewer["save_file"], {**lane, "kind": "code", "view": view}
    yield viewer["read_layer"], {**lane, "map": "attention", "layer": 1, "heads": True}
    yield viewer["share_run"], {**lane, "view": view}
    yield viewer["unshare"], {"name": "a" * 32, "key": "b" * 32}
    for more in (
        {"kind": "view", **lane, "values": packed(np.arange(36), "<f4"), "low": 0, "high": 35,
         "label": "x", "name": "y", "scaling": "log", "groups": packed(np.zeros(36), "<i4"),
         "roles": packed(np.zeros(36), "u1")},
        {"kind": "lanes", **lane, "pictures": "looked", "layer": 1},
        {"kind": "map", "result": made.result, "array": "attention", "rows": [0]},
        {"kind": "board", "run": made.board, "pictures": "looked", "rows": [0], "words": [0]},
        {"kind": "chart", "of": "run", **lane, "name": "layers"},
        {"kind": "chart", "of": "sweep", "run": made.sweep},
    ):  # fmt: skip
        yield viewer["save_figure"], figure | more
    yield cell, {"run": made.board, "lane": 0}
    yield maps["list_analyses"], lane
    yield maps["cost_of"], {**lane, "name": "attention", "options": {}}
    yield maps["cost_of"], {**lane, "name": "layer_needs", "options": {"samples": 9}}


@pytest.fixture(scope="module")
def case(site, run):
    """The name of a run that the desk has examined."""
    report = Report("fake", run.prompt, "a dog.", ())
    return new_case(site.runs, run, "embedded", run.traces[FULL], report, "").name


def panel_events(site, run, case, folder):
    """Yield functions of one event of the left column, the lessons and the desk, and its fields."""
    several, desk = SeveralHandlers(site), DeskHandlers(site)
    files = []
    for number in range(2):
        picture().save(folder / f"{number}.png")
        files.append(str(folder / f"{number}.png"))
    named = read_lessons()
    lessons, opening = LessonHandlers(site, named), OpenHandlers(site)
    example = next(iter(site.stored.all))
    brush = BrushHandlers(site)
    yield lambda e: several.arrange(Sent(tuple(files)), e), {"order": [1, 0]}
    yield lambda e: several.add(Sent(), None, run.name, e), {"example": example}
    yield several.picked, {"example": example}
    film = Sent((str(write_animation(folder / "film.gif", clock(3))),), film=True)
    for how, text in (("frames", "2"), ("rate", "2"), ("times", "0, 0.1")):
        yield lambda e: several.sample(film, run.name, e), {"how": how, "text": text}
    yield lambda e: opening.pick(e, REQUEST), {"example": example}
    yield (
        lambda e: lessons.begin_about(None, run.name, "what ?", None, Sent(), e, REQUEST),
        {"lesson": next(iter(named))},
    )
    yield (
        lambda e: brush.choose(None, Sent(), "what ?", "embedded", run.name, e, REQUEST),
        {"method": "fastv", "keep": 9},
    )
    yield lambda e: desk.force(e, REQUEST), {"run": case, "at": 0, "token": 7}
    yield lambda e: desk.search(e, REQUEST), {"run": case, "kind": "either"}
    yield lambda e: desk.mitigate(e, REQUEST), {"run": "no case"}
    yield desk.open_run, {"run": case, "lane": -1}


def events(site, run, made):
    """Yield functions of one event and what a browser would send."""
    maps, board = MapsHandlers(site, site.results), BoardHandlers(site)
    sweep, history, compare = SweepHandlers(site), HistoryHandlers(site), CompareHandlers(site)
    lane = {"id": f"{run.name}:0"}
    yield lambda e: maps.make(e, REQUEST), {**lane, "name": "attention", "options": {}}
    yield maps.show, {"result": made.result, "name": "attention", "page": 0}
    yield lambda e: board.fill(run.name, e, REQUEST), {
        "methods": ["fastv"], "budgets": ["25%", 9], "options": {"fastv": {"layer": 2}},
        "smaller": False, "blind": False,
    }  # fmt: skip
    yield board.reopen, {"run": made.board}
    yield board.open_cell, {"run": made.board, "lane": 0}
    yield lambda e: sweep.sweep("what ?", "embedded", run.name, e, REQUEST), {
        "methods": [{"method": "fastv", "options": {"layer": 2}}],
        "held": {"mode": "words", "words": [0], "threshold": 0.5},
    }  # fmt: skip
    yield (
        sweep.judge,
        {"run": made.sweep, "held": {"mode": "words", "words": [0], "threshold": 0.5}},
    )
    yield sweep.open_cell, {"run": made.sweep, "lane": 0}
    yield lambda e: history.open(e, REQUEST), {"run": run.name, "lane": 0}
    yield (
        lambda e: history.put_beside(e, REQUEST),
        {"runs": [{"run": run.name, "lane": 0}, {"run": run.name, "lane": -1}]},
    )
    yield lambda e: compare.explore(run.name, e), {"lane": 0}
    lanes = [{"method": "fastv", "keep": 9, "options": {"layer": 2}, "positions": "keep",
              "mitigation": "pai", "mitigation_options": {"alpha": 0.5}, "forced": [1],
              "forcedText": "x", "prompt": "why ?", "model": "embedded", "layer": 1},
             {"method": "by hand", "tokens": [1, 2], "n": 36, "keep": 2}]  # fmt: skip
    yield (
        lambda e: compare.compare(None, None, "what ?", "embedded", run.name, e, REQUEST),
        {"plans": lanes, "link": "?a=1"},
    )


def changed(value, share):
    """Yield a JSON value with each of its parts, at any depth, set to what is hostile.

    Args:
        value: what a browser would send.
        share: every how manieth hostile value is taken, beginning at another one for each part.
    """
    turn = count()

    def parts(one):
        yield from HOSTILE[next(turn) % share :: share]
        names = one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for name in names:
            for other in parts(one[name]):
                copied = one.copy()
                copied[name] = other
                yield copied

    yield from parts(value)


def plain(text):
    """Return JSON as a browser reads it, which has no NaN."""
    return json.dumps(text, allow_nan=False, default=str)


def sendable(found, sent):
    """Fail unless Gradio can send what a handler returned: no letter is half, no number too long.

    Gradio itself writes with orjson, which raises TypeError; nothing reaches the browser then.
    """
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        orjson.dumps(found, default=str, option=options)
    except TypeError as error:
        raise AssertionError(f"{error}: {sent!r:.300}") from error


@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.weekly)])
def test_server_functions_return_a_sentence(site, run, made, share, monkeypatch, caplog):
    monkeypatch.setattr(making, "saved", lambda make, format: b"drawn elsewhere")
    for function, right in calls(site, run, made):
        assert "error" not in function(right), right
        for sent in changed(right, share):
            plain(function(sent))
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.weekly)])
def test_events_return_a_sentence(site, run, made, case, share, caplog, tmp_path):
    every = [*events(site, run, made), *panel_events(site, run, case, tmp_path)]
    for handler, right in every:
        for sent in changed(right, share):
            sendable(last(handler(event(sent))), sent)
            logged = [one for one in caplog.records if one.name == "components.error_text"]
            assert not logged, (sent, logged[0].getMessage())


def test_every_event_of_the_page_is_among_them(site, run, made, case, tmp_path):
    """Read from the page's own list: a new event is tried here, or this fails."""
    every = [*events(site, run, made), *panel_events(site, run, case, tmp_path)]
    tried = {name for handler, _ in every for name in called_by(handler)}
    fields = {
        one.fn.__qualname__
        for one in build(site).fns.values()
        if one.fn is not None and takes_fields(one.fn)
    }
    assert fields - tried == set()


def called_by(handler):
    """Return the names of the handlers that a function of `events` calls."""
    if not isinstance(handler, types.FunctionType):
        return {handler.__qualname__}
    owners = [cell.cell_contents for cell in handler.__closure__ or ()]
    names = handler.__code__.co_names
    return {f"{type(one).__qualname__}.{name}" for one in owners for name in names}


def takes_fields(handler):
    """Return whether a handler gets fields that a browser sends, not inputs alone."""
    named = inspect.signature(handler).parameters.values()
    return any("EventData" in str(one.annotation) for one in named)


# what a handler gets as inputs and a browser may send as anything that their component lets through
ODD_NUMBERS = [None, -1, 0, 2.5, 33, 10**6, 10**300, float("nan"), float("inf"), True]


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_numbers_that_are_inputs_are_a_sentence(site, number, caplog, tmp_path):
    film = write_animation(tmp_path / "film.gif", clock(3))
    sent = event({"how": "frames", "text": number})
    found = SeveralHandlers(site).sample(Sent((str(film),), film=True), "", sent)
    assert found[-1]["kind"] == "bad"
    picker, asked = PickerHandlers(site), types.SimpleNamespace(headers={}, query_params={})
    assert picker.bound(number, "embedded", asked)[0]["kind"] == "bad"
    given = read_given(frames=number), read_given(rate=number), read_given(times=[number])
    assert all(one is None or one.endswith(".") for one in given)
    assert not [one for one in caplog.records if one.name == "components.error_text"]


def read_given(frames=0, rate=0, times=()):
    """Return the sentence about frames that cannot be chosen so; None where they can."""
    try:
        read_files("film.mp4", frames, rate, list(times), [])
    except InputError as error:
        return str(error)


MASKS = [
    {"tokens": [0.5], "n": 36}, {"tokens": [36], "n": 36}, {"tokens": [0, 0], "n": 36},
    {"tokens": list(range(40)), "n": 36}, {"tokens": [0], "n": 10**9}, {"tokens": [0], "n": 9},
    {"tokens": "0", "n": 36}, {"tokens": [True], "n": 36}, {"tokens": [0], "n": 36.0},
    {"tokens": [float("nan")], "n": 36}, {"tokens": {}, "n": 36}, {"tokens": [], "n": 36},
]  # fmt: skip


@pytest.mark.parametrize("mask", MASKS, ids=range(len(MASKS)))
def test_a_mask_of_the_brush_that_is_none_is_a_sentence_in_its_lane(site, run, mask, caplog):
    sent = {"plans": [{"method": "by hand", "keep": 1, "options": {}, **mask}]}
    compare = CompareHandlers(site).compare
    shown = last(compare(None, None, "what ?", "embedded", run.name, event(sent), REQUEST))
    plain(shown)
    assert not [one for one in caplog.records if one.name == "components.error_text"]


def test_what_must_hold_is_a_share(site, made):
    """NaN went to the browser, where JSON ends at it."""
    for threshold, kept in ((float("nan"), 0.5), (10**400, 0.5), (10**300, 1.0), (True, 0.5)):
        held = {"mode": "words", "words": [0], "threshold": threshold}
        value, _ = SweepHandlers(site).judge(event({"run": made.sweep, "held": held}))
        assert value["held"]["threshold"] == kept
        plain(value)


@pytest.mark.slow
@pytest.mark.parametrize("bound", [1e308, 10**400], ids=["float", "int"])
def test_a_figure_with_odd_bounds_is_drawn(site, run, bound):
    pytest.importorskip("matplotlib")
    save = {f.__name__: f for f in viewer_functions(site)}["save_figure"]
    sent = {"kind": "view", "id": f"{run.name}:-1", "format": "svg", "width": "column",
            "values": packed(np.arange(36), "<f4"), "low": bound, "high": bound}  # fmt: skip
    assert "data" in save(sent)
