"""The list of models: what a person at this machine may choose, and what a visitor may not."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from PIL import Image

from components.ask import model_picker
from components.ask.model_picker import LOAD, PickerHandlers
from components.ask.panel import AskHandlers
from components.runs import after_first_page
from components.runs.models import Models, photograph_hint
from components.runs.stored_examples import StoredExamples
from components.settings import Settings, read_settings
from components.site import Site
from tests.components.fake_vlm import FakeVLM
from tests.hub import served_hub
from tokviz.errors import InputError
from tokviz.models.checkpoints.cards import MODELS
from tokviz.models.checkpoints.download import hub_answers
from tokviz.models.checkpoints.loading import EMBEDDED

SMALLEST = "HuggingFaceTB/SmolVLM-256M-Instruct"
NOTICE, KEPT, LIST, CARD, BUTTON = range(5)


def asked_by(query=(), **headers) -> SimpleNamespace:
    """A request of a browser, as a handler sees it."""
    return SimpleNamespace(headers=headers, query_params=dict(query), session_hash="tab")


@pytest.fixture
def handlers(tmp_path) -> PickerHandlers:
    """A page for one person, who has asked nothing yet."""
    models = Models(load=lambda place: FakeVLM(), personal=True)
    return PickerHandlers(Site(Settings(), StoredExamples(tmp_path), models))


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(model_picker, "hub_answers", lambda: True)


@pytest.mark.parametrize(
    ("environ", "personal"),
    [
        ({}, True),
        ({"GRADIO_SERVER_NAME": "localhost"}, True),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, False),  # noqa: S104
        ({"TOKVIZ_MODELS": "embedded"}, False),
        ({"SPACE_ID": "a/b"}, False),
        ({"TOKVIZ_TRUST_PROXY": "1"}, False),
        ({"TOKVIZ_HOSTS": "lab.example.org"}, False),
        ({"TOKVIZ_AUTH": "a:b"}, False),
        ({"GRADIO_ROOT_PATH": "/lab"}, False),
    ],
)
def test_a_page_is_personal_when_nothing_says_that_others_come(environ, personal):
    assert read_settings(environ).personal is personal


def test_a_personal_page_lists_known_models_with_the_smallest_first(handlers, monkeypatch):
    names = handlers.models.names
    assert names[:2] == ("embedded", SMALLEST)
    assert set(names) == set(MODELS)
    monkeypatch.setattr(model_picker, "free_bytes", lambda device: 20e9)
    lines = {
        name: line for line, name in model_picker.choices(handlers.models, handlers.placement())
    }
    assert lines[SMALLEST] == "SmolVLM 256M · 1.0 GB"
    assert lines["google/gemma-3-4b-it"] == "Gemma 3 4B · 17.2 GB · tight"
    assert lines["google/gemma-3-12b-it"] == "Gemma 3 12B · 49.0 GB · too large"


def test_a_card_says_what_a_model_needs_before_it_is_downloaded(handlers, monkeypatch):
    monkeypatch.setattr(model_picker, "free_bytes", lambda device: 9e9)
    shown = handlers.choose("google/gemma-3-4b-it", asked_by())
    assert shown[KEPT] == "google/gemma-3-4b-it"
    for words in ("To be downloaded, about 8.6 GB.", "17.2 GB of memory", "in float32", "too large",
                  "9.0 GB are free", "No [CLS] token.", "Its licence"):  # fmt: skip
        assert words in shown[CARD]
    assert shown[BUTTON].visible


def test_until_torch_is_there_the_list_names_models_and_says_nothing_of_memory(
    handlers, monkeypatch
):
    monkeypatch.setattr(handlers.models, "known_placement", lambda: None)
    shown, card, button = handlers.recall("google/gemma-3-12b-it", asked_by())
    lines = {name: line for line, name in shown.choices}
    assert lines["google/gemma-3-12b-it"] == "Gemma 3 12B"
    assert card == '<p class="tv-small">To be downloaded, about 24.5 GB.</p>'
    assert button.visible
    monkeypatch.setattr(model_picker, "free_bytes", lambda device: 20e9)
    handlers.wait()  # there is no work to wait for
    shown, card, _ = handlers.complete("google/gemma-3-12b-it")
    lines = {name: line for line, name in shown.choices}
    assert lines["google/gemma-3-12b-it"] == "Gemma 3 12B · 49.0 GB · too large"
    assert "value" not in shown.constructor_args  # which model is chosen stays as it is
    assert "49.0 GB of memory" in card


def test_what_fits_is_told_when_torch_was_imported(handlers, monkeypatch):
    monkeypatch.setattr(after_first_page, "DRAWING_S", 0)
    done = threading.Event()
    handlers.site.later.start(done.set, threading.Event())
    handlers.site.later.opened()
    handlers.wait()
    assert done.is_set()


def test_nothing_begins_on_a_server_that_stops(handlers):
    begun, stopping = threading.Event(), threading.Event()
    stopping.set()
    handlers.site.later.start(begun.set, stopping)
    handlers.site.later.opened()
    handlers.wait()
    assert not begun.is_set()


def test_what_cannot_be_downloaded_from_here_is_said(handlers, monkeypatch):
    monkeypatch.setattr(model_picker, "hub_answers", hub_answers)
    assert "the Hub cannot be reached from here" in handlers.choose(SMALLEST, asked_by())[CARD]


def test_a_folder_and_a_hub_id_can_be_written_into_the_list(handlers, tmp_path):
    (tmp_path / "own <b>").mkdir()
    shown = handlers.choose(str(tmp_path / "own <b>"), asked_by())
    assert shown[LIST].value == "own <b>"
    assert handlers.models.place("own <b>") == str(tmp_path / "own <b>")
    assert "<b>" not in shown[CARD]
    assert handlers.choose("someone/thing@v2", asked_by())[LIST].value == "someone/thing@v2"
    assert "size is looked at before" in handlers.choose("someone/thing@v2", asked_by())[CARD]


@pytest.mark.parametrize(
    "place",
    ["", "no such", "../no", "/etc/passwd", "a/b/c", "a\0/b", "x" * 9999],
    ids=["empty", "a word", "no folder", "a file", "too deep", "zero byte", "too long"],
)
def test_what_is_no_model_is_refused_in_a_sentence(handlers, place):
    before = handlers.models.names
    shown = handlers.choose(place, asked_by())
    assert shown[NOTICE]["kind"] == "bad"
    assert len(shown[NOTICE]["text"]) < 200
    assert handlers.models.names == before


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_who_comes_through_a_proxy_adds_nothing(handlers, tmp_path, header):
    shown = handlers.choose(str(tmp_path), asked_by(**{header: "1.2.3.4"}))
    assert "only who sits at this machine" in shown[NOTICE]["text"].lower()
    assert str(tmp_path) not in map(handlers.models.place, handlers.models.names)


def test_a_public_page_keeps_to_the_list_of_its_host(tmp_path):
    models = Models(("embedded", "org/name"), load=lambda place: FakeVLM())
    handlers = PickerHandlers(Site(Settings(), StoredExamples(tmp_path), models))
    assert handlers.choose(str(tmp_path), asked_by())[NOTICE]["kind"] == "bad"
    assert handlers.choose("org/name", asked_by())[LIST].value == "org/name"
    with pytest.raises(InputError, match="does not offer"):
        models.add("other/name")
    assert models.names == ("embedded", "org/name")


def test_the_choice_is_remembered_and_a_link_comes_before_it(handlers, tmp_path):
    (tmp_path / "own").mkdir()
    assert handlers.recall(SMALLEST, asked_by())[0].value == SMALLEST
    assert handlers.recall(str(tmp_path / "own"), asked_by())[0].value == "own"
    assert handlers.recall(str(tmp_path / "gone"), asked_by())[0].value == "embedded"
    linked = asked_by({"model": "embedded"})
    assert handlers.recall(SMALLEST, linked)[0].value == "embedded"
    for odd in ("", None, {"a": 1}, 7):
        assert handlers.recall(odd, asked_by())[0].value == "embedded"


def test_loading_tells_how_far_it_is_and_then_that_it_is_done(handlers):
    steps = list(handlers.fetch(SMALLEST, asked_by()))
    assert [step[0]["kind"] for step in (steps[0], steps[-1])] == ["busy", ""]
    assert handlers.models.is_loaded(SMALLEST)
    assert "In memory." in steps[-1][1]


def test_stop_ends_a_download_at_once_and_nothing_of_it_is_an_error(monkeypatch, tmp_path):
    """With the real loading, from a stand-in of the Hub that is slow."""
    with served_hub({"someone/small": EMBEDDED}) as hub:
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        hub.block_pause_s = 0.05
        models = Models(personal=True)
        handlers = PickerHandlers(Site(Settings(), StoredExamples(tmp_path), models))
        steps = handlers.fetch("someone/small", asked_by())
        assert next(steps)[0]["kind"] == "busy"
        handlers.stop(asked_by())
        (last,) = list(steps)[-1:]
        assert last[0]["kind"] == "warn"
        assert "goes on from there" in last[0]["text"]
        assert not models.is_loaded("someone/small")
        with models._fetching["someone/small"]:  # the thread that was left behind has ended, too
            hub.block_pause_s = 0
        assert list(handlers.fetch("someone/small", asked_by()))[-1][0]["kind"] == ""
        assert models.is_loaded("someone/small")


def test_nobody_waits_for_the_download_of_another_model(monkeypatch, tmp_path):
    """Who asked the embedded model waited until another tab's model was whole, even stopped."""
    begun, go_on = threading.Event(), threading.Event()

    def holds(path, sent) -> None:
        if path.endswith(".safetensors"):
            begun.set()
            go_on.wait(120)

    with served_hub({"someone/small": EMBEDDED}) as hub, ThreadPoolExecutor() as pool:
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        hub.on_block, models = holds, Models(personal=True)
        downloading = pool.submit(models.get, models.add("someone/small"))
        assert begun.wait(120)
        try:
            pool.submit(models.get, "embedded").result(120)
            assert not downloading.done()
        finally:
            go_on.set()
        downloading.result(120)
        assert models.is_loaded("embedded")
        assert models.is_loaded("someone/small")


def test_two_tabs_download_at_the_same_time(handlers):
    assert LOAD["concurrency_limit"] > 1


def test_a_photograph_is_not_left_to_the_embedded_model_without_a_word(handlers, tmp_path):
    assert "such as SmolVLM 256M" in photograph_hint(handlers.models)
    assert "choose another model" in photograph_hint(Models(("embedded", "a/b")))
    assert "machine of your own" in photograph_hint(Models())


def test_the_bound_on_visual_tokens_is_used_from_the_next_question_on(tmp_path):
    asked = []
    models = Models(load=lambda place: asked.append(place) or FakeVLM(), personal=True)
    handlers = PickerHandlers(Site(Settings(), StoredExamples(tmp_path), models))
    models.get("embedded")
    assert "loaded again" in handlers.bound(256, "embedded", asked_by())[NOTICE]["text"]
    assert models.options["max_visual_tokens"] == 256
    models.get("embedded")
    assert len(asked) == 2
    handlers.bound(None, "embedded", asked_by())
    assert models.options["max_visual_tokens"] is None


@pytest.mark.parametrize("odd", [-1, 2.5, "many", float("nan"), 10**400])
def test_an_odd_bound_is_refused_and_nothing_changes(handlers, odd):
    assert handlers.bound(odd, "embedded", asked_by())[NOTICE]["kind"] == "bad"
    assert "max_visual_tokens" not in handlers.models.options


def test_who_comes_through_a_proxy_or_to_a_public_page_sets_no_bound(handlers, tmp_path):
    through = handlers.bound(4, "embedded", asked_by(via="1.1 proxy"))
    assert through[NOTICE]["kind"] == "bad"
    public = PickerHandlers(Site(Settings(), StoredExamples(tmp_path), Models()))
    assert "host's to choose" in public.bound(4, "embedded", asked_by())[NOTICE]["text"]


def test_a_loaded_model_says_how_many_tokens_a_picture_gives(handlers, tmp_path):
    asking = AskHandlers(handlers.site)
    file = tmp_path / "one.png"
    Image.new("RGB", (40, 30)).save(file)
    assert "visual tokens" not in asking.check_image(str(file), "embedded")["text"]
    handlers.models.get("embedded")
    told = asking.check_image(str(file), "embedded")["text"]
    assert told.startswith("Picture of 40 × 30 pixels: 36 visual tokens.")
