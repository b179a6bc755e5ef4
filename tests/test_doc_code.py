"""The Python of every document runs, top to bottom, in a folder with one picture.

A block marked `python no-run` is left out: it needs a server, or a model from the Hub.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.example_scenes import picture_of
from tokviz import ANALYSES, FAMILIES, METHODS, MITIGATIONS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
TEXTS = {
    path.relative_to(ROOT).as_posix(): BLOCK.findall(path.read_text(encoding="utf-8"))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A working folder with a picture; what a document registers goes again."""
    for name in ("picture.png", "picture.jpg"):
        shutil.copy(picture_of("dog"), tmp_path / name)
    shutil.copy(
        ROOT / "tokviz/trace/trace_io.py", tmp_path
    )  # the file that others are told to copy
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (ANALYSES, FAMILIES, METHODS, MITIGATIONS):
        monkeypatch.setattr(registry, "_entries", dict(registry))
    return tmp_path


@pytest.mark.parametrize("document", [name for name, blocks in TEXTS.items() if blocks])
def test_the_code_of_a_document_runs(document, desk):
    names = {"__name__": "document"}
    for block in TEXTS[document]:
        exec(compile(block, document, "exec"), names)


def test_the_tutorial_is_among_them():
    assert {f"docs/first_{what}.md" for what in ("answer", "comparison", "sweep")} <= {
        name for name, blocks in TEXTS.items() if blocks
    }
