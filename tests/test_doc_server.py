"""The examples of docs/api.md, tried on a running server with the embedded model."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.serving import ROOT, serving

pytestmark = pytest.mark.slow

DOCUMENT = (ROOT / "docs/api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:python no-run|sh)\n(.*?)^```", DOCUMENT, re.S | re.M)


@pytest.fixture(scope="module")
def server():
    with serving(TOKVIZ_MCP="1") as running:
        yield running


def output(server, tmp_path, number, program):
    """Run a block of the document beside a picture; return what it prints."""
    shutil.copy(ROOT / "assets/examples/scene_1.png", tmp_path / "picture.png")
    code = BLOCKS[number].replace("http://127.0.0.1:7860", server.address)
    done = subprocess.run(
        [*program, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_three_examples():
    assert [next(w for w in ("gradio_client", "curl", "mcp") if w in b) for b in BLOCKS] == [
        "gradio_client", "curl", "mcp",
    ]  # fmt: skip


def test_from_python(server, tmp_path):
    assert output(server, tmp_path, 0, [sys.executable]).endswith("yes -> yes\n")


def test_with_curl(server, tmp_path):
    said = output(server, tmp_path, 1, ["bash"])
    assert "event: complete" in said
    assert '"reduced"' in said
    assert '"left": 36' in said


def test_as_tools_of_a_language_model(server, tmp_path):
    assert output(server, tmp_path, 2, [sys.executable]).splitlines() == [
        "['answer', 'methods', 'analyses', 'models']",
        "['embedded']",
        "yes -> yes, 36 visual tokens left",
    ]
