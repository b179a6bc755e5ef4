"""A running server with tools, the embedded model and its uploads in a folder that it did not make.

The examples of docs/api.md work on it, its tools read no file of the server, and at the stop it
deletes what was uploaded and nothing else.
"""

import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.example_scenes import picture_of
from tests.serving import ROOT, serving
from tests.view.fakes import BLUE, picture

pytestmark = [pytest.mark.slow, pytest.mark.weekly]

DOCUMENT = (ROOT / "docs/api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:python no-run|sh)\n(.*?)^```", DOCUMENT, re.S | re.M)


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """A folder of somebody else's, in which a file lies already."""
    folder = tmp_path_factory.mktemp("uploads")
    (folder / "not-ours.txt").write_text("kept")
    return folder


@pytest.fixture(scope="module")
def server(uploads):
    """With GRADIO_TEMP_DIR set, Gradio forgets what a tool of an MCP client has left there."""
    with serving(TOKVIZ_MCP="1", TOKVIZ_MODELS="embedded", GRADIO_TEMP_DIR=str(uploads)) as running:
        yield running
        running.process.send_signal(signal.SIGTERM)
        text, _ = running.process.communicate(timeout=120)
    assert running.process.returncode == 0, text
    assert [path.name for path in uploads.iterdir()] == ["not-ours.txt"]


def output(server, tmp_path, number, program):
    """Run a block of the document beside a picture; return what it prints."""
    shutil.copy(picture_of("dog"), tmp_path / "picture.png")
    code = BLOCKS[number].replace("http://127.0.0.1:7860", server.address)
    done = subprocess.run(
        [*program, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_four_examples():
    assert [next(w for w in ("gradio_client", "curl", "mcp") if w in b) for b in BLOCKS] == [
        "gradio_client", "gradio_client", "curl", "mcp",
    ]  # fmt: skip


def test_from_python(server, tmp_path):
    assert output(server, tmp_path, 0, [sys.executable]).endswith("yes -> yes\n")


def test_while_it_is_written(server, tmp_path):
    assert output(server, tmp_path, 1, [sys.executable]).endswith("yes True\n")


def test_with_curl(server, tmp_path):
    said = output(server, tmp_path, 2, ["bash"])
    assert "event: complete" in said
    assert '"reduced"' in said
    assert '"left": 144' in said


def test_as_tools_of_a_language_model(server, tmp_path):
    assert output(server, tmp_path, 3, [sys.executable]).splitlines() == [
        "['answer', 'methods', 'analyses', 'models']",
        "['embedded']",
        "yes -> yes, 144 visual tokens left",
    ]


CALL = """
import asyncio, json, sys
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

DATA = "data:image/png;base64,iVBORw0KGgo="

async def main(url, path):
    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as tools:
        await tools.initialize()
        bare, whole = {"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}
        for image, options in [(bare, {}), (whole, {}), (path, {}), (DATA, bare), (DATA, whole),
                               (DATA, {"x": [whole]})]:
            given = {"image": image, "prompt": "what ?", "model": "", "method": "", "keep": 0}
            found = await tools.call_tool("answer", given | {"options": options})
            print(json.dumps(found.model_dump(mode="json")))

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_tool_reads_no_file_of_the_server(server, uploads, tmp_path):
    secret = tmp_path / "secret.png"
    picture(BLUE).resize((37, 53)).save(secret)
    url = f"{server.address}/gradio_api/mcp/"
    asked = [sys.executable, "-c", CALL, url, str(secret)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6
    assert '\\"full\\"' not in done.stdout
    assert not list(uploads.rglob("secret*"))


def test_an_upload_lies_in_the_folder_until_the_stop(server, uploads, tmp_path):
    output(server, tmp_path, 0, [sys.executable])
    assert list(uploads.rglob("*.png"))
