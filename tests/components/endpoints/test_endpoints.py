"""The endpoints as other programs use them: gradio_client, and plain HTTP as with curl."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from gradio_client import Client, handle_file

from tests.components.endpoints.conftest import HTTP
from tests.serving import PATIENT
from tests.view.fakes import BLUE, picture
from tokviz import catalog


@pytest.fixture(scope="module")
def client(port):
    return Client(f"http://127.0.0.1:{port}", verbose=False, httpx_kwargs=PATIENT)


@pytest.fixture(scope="module")
def blue(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "blue.png"
    picture(BLUE).save(path)
    return path


def test_there_are_five_endpoints_and_each_is_described(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {
        "/answer", "/answer_stream", "/methods", "/analyses", "/models",
    }  # fmt: skip
    assert all(endpoint["description"] for endpoint in named.values())
    assert [p["parameter_name"] for p in named["/answer"]["parameters"]] == [
        "image", "prompt", "model", "method", "keep", "options", "details",
        "frames", "rate", "times", "more",
    ]  # fmt: skip


def test_options_are_an_object_that_any_program_can_read(client):
    """Gradio's own JSON field has no type, at which MCP clients stop."""
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert named["/answer"]["parameters"][5]["type"]["type"] == "object"


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
        ({"method": "fastervl", "keep": 9}, "Did you mean 'fastervlm'?"),
        ({"method": "fastv", "keep": 9, "options": {"laier": 1}}, "Did you mean 'layer'?"),
        ({"method": "fastv", "keep": 9, "options": {"layer": "deep"}}, "layer must be"),
    ],
)
def test_what_cannot_be_used_is_said(client, blue, asked, said):
    given = {"image": handle_file(blue), "prompt": "what ?", **asked}
    got = client.predict(**given, api_name="/answer")
    assert list(got) == ["error"]
    assert said.lower() in got["error"].lower()
    wrong = [v for v in asked.values() if isinstance(v, str) and v != "fastv"]
    assert not any(f"{name!r}" in got["error"] for name in [*wrong, "laier", "deep"])


@pytest.mark.parametrize("keep", [0, -1, 1.5])
def test_a_budget_that_no_picture_has_is_refused_before_the_model_runs(client, blue, keep):
    asked = {"image": handle_file(blue), "prompt": "what ?", "method": "fastervlm", "keep": keep}
    got = client.predict(**asked, api_name="/answer")
    assert list(got) == ["error"]
    assert "Keep must be" in got["error"]


def test_a_budget_over_the_picture_s_tokens_is_said_beside_the_full_answer(client, blue):
    asked = {"image": handle_file(blue), "prompt": "what ?", "method": "fastervlm", "keep": 9999}
    got = client.predict(**asked, api_name="/answer")
    assert got["full"]["answer"]
    assert "keep must be" in got["reduced"]["error"]


def test_the_whole_records_come_on_request(client, blue):
    asked = {"image": handle_file(blue), "prompt": "what ?", "method": "fastervlm", "keep": 9}
    got = client.predict(**asked, details=True, api_name="/answer")
    assert len(got["full"]["fates"]) == 36
    assert got["reduced"]["tokens"][0]["text"] == "blue"


def test_a_caller_from_before_details_sends_six_inputs(blue, port):
    """With curl the inputs stand in a list; what is missing at its end is as it is by default."""
    for data in ([None, "what ?", "", "", 0, {}], [None, "what ?"]):
        assert "Choose a picture" in result_of(port, "answer", data)
    assert "/answer takes 2 to 11 inputs" in result_of(port, "answer", [None])


def result_of(port, endpoint, data):
    """Return what an endpoint says, called as with curl."""
    base = f"http://127.0.0.1:{port}/gradio_api/call/{endpoint}"
    event = HTTP.post(base, json={"data": data}).json()["event_id"]
    return HTTP.get(f"{base}/{event}").text


def test_lists_are_short_and_whole_on_request(client):
    for name in ("methods", "analyses"):
        short = client.predict(api_name=f"/{name}")
        assert len(json.dumps(short)) < 4096
        whole = client.predict(details=True, api_name=f"/{name}")
        assert whole == json.loads(json.dumps(catalog.rows(name)))
        assert [row["name"] for row in short] == [row["name"] for row in whole]
        assert client.predict(name=whole[3]["name"], api_name=f"/{name}") == whole[3]
        assert max(len(json.dumps(row)) for row in whole) < 4096


def test_an_unknown_name_of_a_list_gets_the_nearest_one(client):
    said = client.predict(name="fastvv", api_name="/methods")["error"]
    assert "Did you mean 'fastv'?" in said
    assert "fastvv" not in said


def test_a_stream_gives_the_answers_while_they_are_written(client, blue):
    asked = {"image": handle_file(blue), "prompt": "what ?", "method": "fastervlm", "keep": 9}
    parts = list(client.submit(**asked, api_name="/answer_stream"))
    assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[0]["full"]["answer"] == "blue"
    assert "blue dog.".startswith(parts[0]["full"]["answer"])
    last = dict(parts[-1])
    assert last.pop("done")
    assert last["reduced"]["answer"] == "blue cat."
    assert last["reduced"]["visual_tokens"]["left"] == 9


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
    path = HTTP.post(f"http://127.0.0.1:{port}/gradio_api/upload", files=given).json()[0]
    Path(path).unlink()
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    base = f"http://127.0.0.1:{port}/gradio_api/call/answer"
    event = HTTP.post(base, json={"data": [picture, "what ?", "", "", 0, {}]}).json()["event_id"]
    assert "Choose it again" in HTTP.get(f"{base}/{event}").text
