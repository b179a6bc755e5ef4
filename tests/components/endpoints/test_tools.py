"""The tools of MCP clients: what they accept, their errors, what they cost."""

import base64
import json
import threading
import time

import httpx
import pytest

from components.endpoints.sent_picture import MAX_CHARACTERS, picture_bytes
from components.error_text import INTERNAL_ERROR
from tests.components.endpoints.conftest import ACCEPT, call_tool, post_message, rpc
from tests.view.fakes import BLUE, picture
from tokviz import METHODS
from tokviz.errors import InputError

MARK = "zebra-crossing-49152"


@pytest.fixture(scope="module")
def blue(tmp_path_factory):
    """A blue picture in base64."""
    path = tmp_path_factory.mktemp("pictures") / "blue.png"
    picture(BLUE).save(path)
    return base64.b64encode(path.read_bytes()).decode()


def test_the_schemas_say_what_is_accepted(tools):
    listed = {tool["name"]: tool for tool in rpc(tools.url, "tools/list")["result"]["tools"]}
    assert set(listed) == {"answer", "methods", "analyses", "models"}
    schema = listed["answer"]["inputSchema"]
    assert schema["required"] == ["image", "prompt"]
    assert schema["additionalProperties"] is False
    asked = schema["properties"]
    assert asked["method"]["enum"] == ["", *METHODS]
    assert asked["model"]["enum"] == ["", *tools.site.models.names]
    assert asked["image"]["maxLength"] == MAX_CHARACTERS
    assert asked["keep"]["type"] == "integer"
    assert asked["keep"]["minimum"] == 0
    assert asked["details"]["type"] == "boolean"
    assert all(one["description"] for one in asked.values())
    assert listed["methods"]["inputSchema"]["properties"]["name"]["enum"] == ["", *METHODS]
    assert "upload_file_to_gradio" not in json.dumps(listed)


@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "data:image/png;charset=x;base64,"])
def test_a_picture_comes_as_base64_with_or_without_the_head_of_a_data_url(tools, blue, head):
    wrong, text = call_tool(tools.url, "answer", image=head + blue, prompt="what ?")
    assert not wrong
    assert json.loads(text)["full"]["answer"] == "blue dog."


@pytest.mark.parametrize("options", [{}, {"layer": 2}, {"layer": 2.0}])
def test_options_are_an_object(tools, blue, options):
    """Their bounds were looked for, as a number's are, and any object failed."""
    given = {"image": blue, "prompt": "what ?", "method": "fastv", "keep": 9, "options": options}
    wrong, text = call_tool(tools.url, "answer", **given)
    assert not wrong, text
    assert json.loads(text)["reduced"]["answer"] == "blue cat."


@pytest.mark.parametrize("value", [10**400, 2.5, "x", True])
def test_a_wrong_value_of_an_option_is_refused_by_name(tools, blue, value):
    given = {"image": blue, "prompt": "what ?", "method": "fastv", "keep": 9}
    wrong, text = call_tool(tools.url, "answer", **given, options={"layer": value})
    assert wrong
    assert text.startswith("Layer must be a whole number 1 to 64")


WRONG = {
    "method": {"method": MARK},
    "near method": {"method": f"fastervl{MARK[:1]}"},
    "model": {"model": f"../{MARK}"},
    "keep": {"keep": MARK},
    "keep of half": {"keep": 1.5},
    "keep below": {"keep": -1},
    "prompt": {"prompt": [MARK]},
    "no prompt": {"prompt": ""},
    "long prompt": {"prompt": MARK * 1000},
    "options": {"options": MARK},
    "option": {"options": {MARK: 1}, "method": "fastv", "keep": 9},
    "option's value": {"options": {"layer": MARK}, "method": "fastv", "keep": 9},
    "deep option": {"options": {"layer": {"x": [MARK]}}, "method": "fastv", "keep": 9},
    "details": {"details": MARK},
    "other argument": {MARK: 1},
    "address": {"image": f"https://example.org/{MARK}.png"},
    "path": {"image": f"/etc/{MARK}"},
    "no picture": {"image": base64.b64encode(MARK.encode()).decode()},
    "svg": {"image": "data:image/svg+xml;utf8,<svg>" + MARK},
    "letters": {"image": "ääää" + MARK},
    "nothing": {"image": ""},
    "file": {"image": {"path": MARK, "meta": {"_type": "gradio.FileData"}}},
    "special token": {"prompt": f"<|{MARK}|>"},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_a_short_error_without_the_input(tools, blue, name, capfd, caplog):
    before = tools.vlm.steps_taken
    given = {"image": blue, "prompt": "what ?", **WRONG[name]}
    wrong, text = call_tool(tools.url, "answer", **given)
    assert wrong
    assert text != INTERNAL_ERROR
    assert text.endswith(".")
    assert len(text) < 1000
    assert MARK not in text
    assert tools.vlm.steps_taken == before
    assert MARK not in "".join([*capfd.readouterr(), caplog.text])


def test_a_wrong_method_is_refused_before_the_picture_is_decoded(tools, blue):
    wrong, text = call_tool(tools.url, "answer", image=blue[:-7], prompt="what ?", method="fastvv")
    assert wrong
    assert "Did you mean 'fastv'?" in text


@pytest.mark.parametrize("name", ["methods", "analyses"])
def test_an_unknown_name_of_a_list_gets_the_nearest_one(tools, name):
    near = {"methods": "fastvv", "analyses": "sink"}[name]
    wrong, text = call_tool(tools.url, name, name=near)
    assert wrong
    assert "Did you mean" in text
    assert f"'{near}'" not in text


def test_an_unknown_tool_gets_the_nearest_one(tools):
    wrong, text = call_tool(tools.url, f"answers{MARK}")
    assert wrong
    assert MARK not in text
    assert "Did you mean 'answer'?" in call_tool(tools.url, "answr")[1]


def test_a_missing_argument_is_named(tools, blue):
    assert call_tool(tools.url, "answer", image=blue) == (
        True, "Answer needs the argument prompt, which was not sent.",
    )  # fmt: skip


def test_a_fault_of_ours_is_an_error_without_the_prompt(tools, blue, monkeypatch):
    monkeypatch.setattr(tools.vlm, "fails_at", 1)
    wrong, text = call_tool(tools.url, "answer", image=blue, prompt=f"what {MARK}")
    assert wrong
    assert MARK not in text


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": MARK},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": [MARK]}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "answer",
                                                                      "arguments": MARK}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": MARK},
        {"jsonrpc": "2.0", "method": f"notifications/{MARK}"},
        {"jsonrpc": "2.0", "id": MARK, "result": {"x": MARK}},
        {"prompt": MARK},
        [MARK],
        MARK,
        None,
    ],
    ids=range(10),
)  # fmt: skip
def test_a_message_that_is_none_is_refused_without_its_text(tools, message, capfd, caplog):
    status, got = post_message(tools.url, message)
    assert status == 400
    assert "tools/call" in got["error"]["message"]
    assert MARK not in json.dumps(got)
    assert MARK not in "".join([*capfd.readouterr(), caplog.text])


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", MARK.encode(), b"[" * 100_000])
def test_bytes_that_are_no_json_are_refused(tools, body):
    head = {**ACCEPT, "content-type": "application/json"}
    got = httpx.post(f"{tools.url}/gradio_api/mcp/", content=body, headers=head)
    assert got.status_code == 400
    assert MARK not in got.text


@pytest.mark.parametrize("given", [{"prompt": "what \ud800?"}, {"method": "\ud800"}])
def test_half_a_letter_is_refused(tools, blue, given):
    """JSON can hold half of a surrogate pair, which is no letter and cannot be written as UTF-8."""
    wrong, text = call_tool(tools.url, "answer", **{"image": blue, "prompt": "what ?", **given})
    assert wrong
    assert "went wrong" not in text
    assert call_tool(tools.url, "answer\udfff")[0]


@pytest.mark.parametrize("method", ["prompts/get", "resources/read"])
def test_what_the_server_does_not_have_is_refused_without_its_name(tools, method):
    got = rpc(tools.url, method, name=MARK, uri=f"file:///{MARK}", arguments={})
    assert "error" in got
    assert MARK not in json.dumps(got)


def test_a_client_that_leaves_ends_its_run(tools, blue):
    """A call whose connection is closed must not hold the model."""
    with tools.vlm.slow():
        given = {"name": "answer", "arguments": {"image": blue, "prompt": "what ?"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": given}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{tools.url}/gradio_api/mcp/", json=message, headers=ACCEPT, timeout=1.0)
        ended = wait_until(lambda: not tools.site.stops.running)
        taken = tools.vlm.steps_taken
        time.sleep(0.3)
    assert ended
    assert 0 < taken == tools.vlm.steps_taken


def test_calls_join_the_queue_as_their_sender_s(tools, blue):
    """Through Gradio's own client on the server all senders would be one."""
    with tools.vlm.slow(30):
        given = {"image": blue, "prompt": "what ?"}
        calls = [threading.Thread(target=call_tool, args=(tools.url, "answer"), kwargs=given)
                 for _ in range(3)]  # fmt: skip
        for call in calls:
            call.start()
        queue = tools.page._queue
        assert wait_until(lambda: len(queue) == 2)
        waiting = [event for line in queue.event_queue_per_concurrency_id.values()
                   for event in line.queue]  # fmt: skip
        assert {event.request.scope["tokviz.visitor"] for event in waiting} == {"127.0.0.1"}
        assert len({event.session_hash for event in waiting}) == 2
        for call in calls:
            call.join()


def wait_until(true, seconds=10.0):
    """Return whether something became true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


@pytest.mark.parametrize(
    "text", ["https://x.org/a.png", "/etc/passwd", "####", "data:,x", "é", " "]
)
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(InputError, match="in base64"):
        picture_bytes(text)


def test_the_length_is_looked_at_before_anything_is_decoded():
    with pytest.raises(InputError, match="at most 2,000,000 fit"):
        picture_bytes("#" * (MAX_CHARACTERS + 1))
