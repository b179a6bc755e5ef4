"""Only uploaded files can be used: on every event and endpoint, whatever the input looks like.

A dict with a path and no `meta` let a visitor ask about any picture on the server, and see it.
"""

import json
import secrets
from itertools import cycle, islice
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio.utils import get_upload_folder

from components.page import build
from components.widgets.file_inputs import NOT_UPLOADED, check_files, check_path
from components.widgets.safe_upload import SafeFiles, SafeImage, SafeUpload
from tests.components.server.test_request_limits import ask, post
from tests.view.fakes import BLUE, picture

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A picture on the server that nobody uploaded, of a size that no other picture has."""
    path = tmp_path_factory.mktemp("private") / "secret.png"
    picture(BLUE).resize((37, 53)).save(path)
    return path


@pytest.fixture(scope="module")
def uploads(port):
    """The folder of uploads of the running page."""
    return get_upload_folder()


@pytest.fixture(scope="module")
def places(secret, uploads):
    """Ways to name the picture: plainly, by "..", by links inside of the upload folder."""
    inside = Path(uploads) / f"test-{secrets.token_hex(6)}"
    inside.mkdir(parents=True)
    (inside / "link.png").symlink_to(secret)
    (inside / "folder").symlink_to(secret.parent)
    (inside / "circle").symlink_to(inside / "circle")
    up = "/".join([".."] * len(inside.resolve().parts))
    yield [
        str(secret), f"{inside}/{up}{secret}", f"{inside}/link.png", f"{inside}/folder/secret.png",
        f"{inside}/circle", f"{inside}/circle/x.png", f"{uploads}-other/x.png", str(uploads),
        "app.py", "/etc/passwd\0.png",
    ]  # fmt: skip
    for path in inside.iterdir():
        path.unlink()
    inside.rmdir()


def shapes(path):
    """Return inputs that name a file, as Gradio's own page would never send them."""
    bare = {"path": path}
    return [
        bare, bare | {"meta": {}}, bare | {"meta": None}, bare | {"meta": {"_type": "x"}},
        bare | {"meta": []}, bare | {"meta": META}, bare | {"meta": META, "is_stream": True},
        bare | {"url": "/gradio_api/file=x", "orig_name": "a.png"}, [bare], [[bare | {"meta": {}}]],
        {"value": bare}, {"image": bare | {"meta": {}}, "caption": None},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def events(port):
    return json.loads(ask(port, "GET", "/config")[1])["dependencies"]


def said(port, event, data):
    """Send an event as the page does; return everything that comes back."""
    session = secrets.token_hex(5)
    body = {"data": data, "event_data": None, "fn_index": event["id"], "session_hash": session,
            "trigger_id": (event["targets"] or [[0]])[0][0]}  # fmt: skip
    if event["queue"] is False:
        return post(port, "/gradio_api/run/predict", body)[1]
    accepted = post(port, "/gradio_api/queue/join", body)[1]
    assert "event_id" in accepted
    return ask(port, "GET", f"/gradio_api/queue/data?session_hash={session}")[1]


@pytest.mark.slow
def test_no_event_takes_a_file_that_was_not_uploaded(port, events, places):
    """Every event of the page and of the endpoints, every input of each, every shape in turn."""
    tried = 0
    todo = cycle(shapes(places[0]) + [{"path": place} for place in places[1:]])
    for event in (e for e in events if e["backend_fn"]):
        for at in range(len(event["inputs"])):
            for value in islice(todo, 5 if at == 0 else 2):
                data = [None] * len(event["inputs"])
                data[at] = value
                text = said(port, event, data)
                assert NOT_UPLOADED in text, (event["api_name"], at, value, text)
                tried += 1
    assert tried > 150


@pytest.mark.slow
@pytest.mark.parametrize("name", ["answer", "methods", "analyses", "models"])
def test_no_endpoint_takes_a_file_that_was_not_uploaded(port, events, places, name):
    event = next(e for e in events if e["api_name"] == name)
    if not event["inputs"]:
        return
    for value in shapes(places[0]) + [{"path": place} for place in places[1:]]:
        for where in (f"/gradio_api/call/{name}", f"/gradio_api/call/v2/{name}"):
            rest = ["what ?", "", "", 0, {}]
            body = {"data": [value, *rest]}
            if "v2" in where:
                keys = ("image", "prompt", "model", "method", "keep", "options")
                body = dict(zip(keys, [value, *rest], strict=True))
            status, text, _ = post(port, where, body)
            if status == 200:
                found = json.loads(text)["event_id"]
                text = ask(port, "GET", f"/gradio_api/call/{name}/{found}")[1]
            assert '"full"' not in text
            assert "event: complete" not in text


def test_a_file_that_was_uploaded_is_taken(port, events, tmp_path):
    """The page is no use if the check refuses everything."""
    event = next(e for e in events if e["targets"][0][1] == "upload")
    picture(BLUE).resize((37, 53)).save(tmp_path / "mine.png")
    files = {"files": ("mine.png", (tmp_path / "mine.png").read_bytes())}
    path = httpx.post(f"http://127.0.0.1:{port}/gradio_api/upload", files=files).json()[0]
    assert "37 × 53" in said(port, event, [{"path": path, "meta": META}, "embedded"])


def test_only_what_resolves_inside_the_folder_passes(places, uploads):
    for place in [*places, 7, ["x"], {"a": 1}, True, "x" * 5000]:
        with pytest.raises(gr.Error, match="was not uploaded"):
            check_path(place)
    check_path(f"{uploads}/abc/x.png")
    check_files({"options": {"path": None}, "list": [{"path": f"{uploads}/abc/x.png"}, 3, None]})


def test_a_value_nested_without_end_is_looked_through():
    """A call for each level would end in a RecursionError."""
    value = {"path": "/etc/passwd"}
    for _ in range(20_000):
        value = [value]
    with pytest.raises(gr.Error):
        check_files(value)


def test_the_components_check_for_themselves(secret):
    """Whoever uses them on a page of another kind is safe as well."""
    file = FileData(path=str(secret))
    with pytest.raises(gr.Error):
        SafeImage().preprocess(ImageData(path=str(secret)))
    with pytest.raises(gr.Error, match="not fetched"):
        SafeImage().preprocess(ImageData(url="https://example.org/x.png"))
    for payload in (file, ListFiles([file])):
        for taker in (SafeUpload(), SafeFiles()):
            with pytest.raises(gr.Error):
                taker.preprocess(payload)


def test_every_component_that_takes_files_is_one_of_ours(served):
    """A gr.File or gr.Image on the page would fetch addresses and decode whatever comes."""
    kinds = (gr.File, gr.Image, gr.Gallery, gr.Video, gr.Audio, gr.MultimodalTextbox, gr.Model3D,
             gr.UploadButton)  # fmt: skip
    given = {part for event in build(served).fns.values() for part in event.inputs}
    takers = [part for part in given if isinstance(part, kinds)]
    assert {type(part) for part in takers} == {SafeFiles, SafeImage, SafeUpload}
