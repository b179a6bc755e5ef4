"""The endpoints as other programs use them: gradio_client, and plain HTTP as with curl."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import httpx
import pytest
from gradio_client import Client, handle_file

from tests.view.fakes import BLUE, picture


@pytest.fixture(scope="module")
def client(port):
    return Client(f"http://127.0.0.1:{port}", verbose=False)


@pytest.fixture(scope="module")
def blue(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "blue.png"
    picture(BLUE).save(path)
    return path


def test_there_are_four_endpoints_and_each_is_described(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/answer", "/methods", "/analyses", "/models"}
    assert all(endpoint["description"] for endpoint in named.values())
    assert [p["parameter_name"] for p in named["/answer"]["parameters"]] == [
        "image", "prompt", "model", "method", "keep", "options",
    ]  # fmt: skip


def test_options_are_an_object_that_any_program_can_read(client):
    """Gradio's own JSON field has no type, at which MCP clients stop."""
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert named["/answer"]["parameters"][-1]["type"]["type"] == "object"


def test_a_question_gets_the_full_answer(client, blue):
    got = client.predict(image=handle_file(blue), prompt="what ?", api_name="/answer")
    assert got["full"]["answer"] == "blue dog."
    assert set(got) == {"full"}


def test_with_a_method_both_answers_come_back(client, blue):
    got = client.predict(
        image=handle_file(blue), prompt="what ?", method="fastervlm", keep=9, api_name="/answer"
    )
    assert got["full"]["visual_tokens"]["left"] == 36
    assert got["reduced"]["visual_tokens"]["left"] == 9


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": ""}, "empty"),
        ({"model": "../secret"}, "does not offer"),
        ({"image": None}, "picture"),
        ({"method": "fastervl", "keep": 9}, "Did you mean"),
    ],
)
def test_what_cannot_be_used_is_said(client, blue, asked, said):
    given = {"image": handle_file(blue), "prompt": "what ?", **asked}
    got = client.predict(**given, api_name="/answer")
    assert list(got) == ["error"]
    assert said in got["error"]


@pytest.mark.parametrize("keep", [0, -1, 1.5, 1e30])
def test_a_budget_that_cannot_be_used_is_said_beside_the_full_answer(client, blue, keep):
    got = client.predict(
        image=handle_file(blue), prompt="what ?", method="fastervlm", keep=keep, api_name="/answer"
    )
    assert got["full"]["answer"]
    assert "keep must be" in got["reduced"]["error"]


def test_an_address_is_refused_with_a_sentence(client):
    given = {"path": "https://example.org/x.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="not fetched"):
        client.predict(image=given, prompt="what ?", api_name="/answer")


def test_lists_can_be_read_with_plain_http(port):
    base = f"http://127.0.0.1:{port}/gradio_api/call/methods"
    ask = Request(base, b'{"data": []}', {"content-type": "application/json"})
    event = json.load(urlopen(ask))["event_id"]
    lines = urlopen(f"{base}/{event}").read().decode().splitlines()
    data = next(line for line in lines if line.startswith("data: "))
    names = {row["name"] for row in json.loads(data.removeprefix("data: "))[0]}
    assert {"fastervlm", "divprune", "fastv"} <= names


def test_a_picture_that_was_deleted_meanwhile_is_asked_for_again(blue, port):
    """The page may have been left open for longer than uploads are kept."""
    given = {"files": ("blue.png", blue.read_bytes())}
    path = httpx.post(f"http://127.0.0.1:{port}/gradio_api/upload", files=given).json()[0]
    Path(path).unlink()
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    base = f"http://127.0.0.1:{port}/gradio_api/call/answer"
    event = httpx.post(base, json={"data": [picture, "what ?", "", "", 0, {}]}).json()["event_id"]
    assert "Choose it again" in httpx.get(f"{base}/{event}", timeout=60).text
