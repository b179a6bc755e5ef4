"""`import tokviz`: quick, and every public name is there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tokviz
from tokviz import extras

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", tokviz.__all__)
def test_every_public_name_is_there(name):
    assert getattr(tokviz, name) is not None
    assert name in dir(tokviz)


def test_public_names_are_sorted_and_unique():
    assert len(set(tokviz.__all__)) == len(tokviz.__all__)


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        tokviz.lode  # noqa: B018


def test_writing_and_reading_traces_needs_neither_torch_nor_transformers():
    code = (
        "import sys, tokviz\n"
        "tokviz.Trace, tokviz.open_trace, tokviz.Reduction\n"
        "sys.exit(bool({'torch', 'transformers', 'gradio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


FOREIGN = re.compile(
    r"(?:\b(?:pip3?|uv|pipx|poetry)\b[^\n]{0,20}\b(?:install|add|run)\b[^\n#;`]*|\buvx\b[^\n#;`]*)"
    r"[ '\"]tokviz(?![\w.:/-])"
    r"|\btokviz\[[a-z]"
    r"|dependencies = \[[^\]]*\"tokviz[\"\[<>=~]"
)
"""A text that would install tokviz from PyPI, which is another project."""
TEXTS = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".html", ".js", ".ipynb", ".cff", ""}


@pytest.mark.parametrize(
    "text",
    [
        "pip install {}",
        "pip install '{}[ray]'",
        "python -m pip install -U {}",
        "uvx {}",
        'dependencies = ["numpy", "{}>=1"]',
    ],
)
def test_a_foreign_install_is_seen(text):
    assert FOREIGN.search(text.replace("{}", "tokviz"))
    assert not FOREIGN.search(text.replace("{}", "tokviz-lab"))


def test_no_text_installs_the_other_project_of_the_name():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    paths = [ROOT / name for name in listed if Path(name).suffix in TEXTS]
    assert len(paths) > 300
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in paths
        if path.is_file() and path.stat().st_size < 2**20
        for match in FOREIGN.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def test_extras_that_texts_name_exist():
    """`how_to_install` and the documents name extras of pyproject.toml."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.rglob("tokviz/**/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in texts)
    named = set(re.findall(r"how_to_install\([\"'](\w+)", code))
    named |= {one for some in re.findall(r"'\.\[([\w,]+)\]'", code) for one in some.split(",")}
    assert {"ray", "sweep"} <= named <= set(known)


def test_an_installed_tokviz_is_told_how_to_add_an_extra(monkeypatch):
    assert extras.how_to_install("ray").startswith("pip install '.[ray]'")
    monkeypatch.setattr(extras, "INSTALLED", True)
    assert extras.how_to_install("ray") == "pip install 'tokviz-lab[ray]'"
