"""`import tokviz`: quick, and every public name is there."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

import tokviz

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


def test_an_installed_tokviz_has_its_model_and_its_scripts():
    """Everything under assets/ goes into the wheel, beside the package, where it is looked for."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packed = find_namespace_packages(ROOT, include=setup["packages"]["find"]["include"])
    files = [path for path in (ROOT / "assets").rglob("*") if path.is_file()]
    assert {".".join(path.parent.relative_to(ROOT).parts) for path in files} <= set(packed)
    assert setup["package-data"] == {"*": ["*"]}
