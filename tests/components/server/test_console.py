"""The command `tokviz` of an installed package."""

import subprocess
import sys
from pathlib import Path

from components.server import console

ROOT = Path(__file__).parents[3]


def test_without_the_pages_packages_one_sentence_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tokviz"])
    monkeypatch.setattr(console, "find_spec", lambda name: None)
    assert console.main() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install '.[page]'" in said


def test_without_arguments_the_page_opens(monkeypatch):
    opened = []
    monkeypatch.setattr(sys, "argv", ["tokviz"])
    monkeypatch.setattr(console, "launch", lambda: opened.append(True))
    assert console.main() == 0
    assert opened


def test_with_a_command_the_page_stays_closed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tokviz", "models", "--json"])
    monkeypatch.setattr(console, "launch", lambda: 1 / 0)
    assert console.main() == 0
    assert "embedded" in capsys.readouterr().out


def test_ctrl_c_while_the_program_begins_is_one_sentence(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "import_module", interrupted)
    for command in (["tokviz"], ["tokviz", "methods"]):
        monkeypatch.setattr(sys, "argv", command)
        assert console.main() == 130
        assert capsys.readouterr().err == "\ntokviz: stopped.\n"


def test_the_sentence_comes_where_gradio_is_really_missing():
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['tokviz']\n"
        "from components.server import console\n"
        "console.find_spec = lambda name: sys.modules['gradio']\n"
        "sys.exit(console.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("tokviz: the page needs Gradio")
