"""Gradio is imported without the stub files that it writes, and as it is otherwise."""

import subprocess
import sys

import pytest

from components.server.import_gradio import import_gradio

CODE = """
from pathlib import Path
from components.server.import_gradio import import_gradio, without_stub
import_gradio()
import gradio as gr
from gradio import component_meta
assert component_meta.create_or_modify_pyi is without_stub
class Field(gr.Textbox):
    EVENTS = ["change"]
assert Field(label="a").get_config()["label"] == "a"
assert gr.Blocks is gr.blocks.Blocks
print(gr.__version__, list(Path(".").glob("*.pyi")))
"""


@pytest.mark.slow
def test_a_component_is_defined_and_no_stub_is_written(tmp_path):
    (tmp_path / "field.py").write_text(CODE)
    run = [sys.executable, "-W", "error::SyntaxWarning", "field.py"]
    env = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": ""}
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


def test_where_it_is_imported_already_nothing_is_done(monkeypatch):
    there = sys.modules["gradio"]
    import_gradio()
    assert sys.modules["gradio"] is there
