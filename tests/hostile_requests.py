"""Requests as a stranger would make them: wrong inputs, paths and bodies for Gradio's routes."""

SECRET = "what nobody else may read"
FILE = {"url": SECRET, "meta": {"_type": "gradio.FileData"}}
INPUTS = [
    [],
    [SECRET],
    [None, SECRET, "", "", 0],
    [SECRET, SECRET, "", "", 0, {}],
    [5, SECRET, "", "", 0, {}],
    [[], SECRET, "", "", 0, {}],
    [FILE, SECRET, [], {}, 0, {}],
    [None, {"x": SECRET}, "", "", 0, {}],
    [None, SECRET, "", "", SECRET, {}],
    [None, SECRET, "", "", 0, SECRET],
    [None] * 20 + [SECRET],
]
PATHS = [
    "/gradio_api/call/answer/unknown",
    "/gradio_api/queue/data?session_hash=unknown",
    "/gradio_api/file=%00",
    "/gradio_api/%ff",
    "/pwa_icon/" + "9" * 400,
    "/gradio_api/stream/a/b/c/playlist.m3u8",
]
BODIES = [
    {"data": [], "fn_index": 10**6},
    {"data": [SECRET], "fn_index": -1},
    {"data": [SECRET], "api_name": SECRET},
    {"component_id": 10**6, "fn_name": SECRET, "data": [SECRET], "session_hash": "s"},
    {"event_id": SECRET, "session_hash": "s", "fn_index": 0, "data": [SECRET]},
    {"prompt": SECRET, SECRET: SECRET},
]
POSTS = [
    "/gradio_api/run/predict",
    "/gradio_api/run/nothing",
    "/gradio_api/queue/join",
    "/gradio_api/component_server",
    "/gradio_api/call/nothing",
    "/gradio_api/call/v2/answer",
    "/gradio_api/cancel",
]
