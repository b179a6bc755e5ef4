"""Arrows point one way: app → components → view, analysis, reduction, models → trace → errors.

Reads the imports of every file, runs nothing. A module may import what stands lower in RANK, and
its own package; a new top-level module needs a line there.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RANK = {
    "tokviz.errors": 0,
    "tokviz.model_flags": 0,
    "tokviz.capture": 1,
    "tokviz.evaluation": 1,
    "tokviz.images": 1,
    "tokviz.layout": 1,
    "tokviz.matrix": 1,
    "tokviz.options": 1,
    "tokviz.prompts": 1,
    "tokviz.registry": 1,
    "tokviz.signal_table": 0,
    "tokviz.signals": 1,
    "tokviz.sink_dims": 1,
    "tokviz.trace_io": 0,
    "tokviz.records": 2,
    "tokviz.schema": 2,
    "tokviz.trace_limits": 2,
    "tokviz.trace_header": 2.5,
    "tokviz.trace": 3,
    "tokviz.analysis": 4,
    "tokviz.export": 4,
    "tokviz.imports": 4,
    "tokviz.pointing": 4,
    "tokviz.reduction": 4,
    "tokviz.mitigation": 4.5,
    "tokviz.cost": 5,
    "tokviz.faithfulness": 5,
    "tokviz.plans": 5,
    "tokviz.view": 5,
    "tokviz.counterfactual": 6,
    "tokviz.models": 6,
    "tokviz.sweeps": 7,
    "tokviz": 7,
    "tokviz.diagnosis": 7,
    "tokviz.analyse_command": 8,
    "tokviz.catalog": 8,
    "tokviz.examine_commands": 8,
    "tokviz.cli": 9,
    "tokviz.__main__": 10,
    "components": 10,
    "app": 11,
}
SOURCES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("tokviz/**/*.py"), *ROOT.glob("components/**/*.py"), ROOT / "app.py")
    if path.exists()
)
FACADE = Path("tokviz/__init__.py")
NUMPY_ONLY = {
    "tokviz.analysis",
    "tokviz.counterfactual",
    "tokviz.errors",
    "tokviz.evaluation",
    "tokviz.export",
    "tokviz.faithfulness",
    "tokviz.layout",
    "tokviz.matrix",
    "tokviz.pointing",
    "tokviz.records",
    "tokviz.schema",
    "tokviz.signal_table",
    "tokviz.trace",
    "tokviz.trace_header",
    "tokviz.trace_io",
    "tokviz.trace_limits",
}


def module_of(path):
    """tokviz/view/overlay.py -> tokviz.view.overlay."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module):
    """The part of the program a module belongs to: tokviz.view.overlay -> tokviz.view."""
    depth = 2 if module.startswith("tokviz.") else 1
    return ".".join(module.split(".")[:depth])


@cache
def imports_of(file):
    """Every module that a file imports, at any depth, type-checking blocks included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively; write the full name"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in below if is_module(name)}
            found |= modules or {node.module}
    return found


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def packages_of(path):
    """Top-level names of what a file imports from outside the project and the standard library."""
    tops = {name.split(".")[0] for name in imports_of(ROOT / path)}
    return tops - set(sys.stdlib_module_names) - {"tokviz", "components", "app"}


def test_imports_point_down():
    for path in SOURCES:
        if path != FACADE:
            check_arrows(path)


def check_arrows(path):
    unit = unit_of(module_of(path))
    assert unit in RANK, f"give {unit} a line in RANK"
    for name in imports_of(ROOT / path):
        other = unit_of(name)
        if name.split(".")[0] in ("tokviz", "components", "app", "embedded") and other != unit:
            assert other in RANK, f"{path} imports {name}, which has no line in RANK"
            assert RANK[other] < RANK[unit], f"{path} must not import {name}"


def test_heavy_libraries_stay_in_their_place():
    for path in SOURCES:
        check_libraries(path)


def check_libraries(path):
    unit, packages = unit_of(module_of(path)), packages_of(path)
    if unit.startswith("tokviz"):
        assert "gradio" not in packages, f"{path}: no gradio in the library"
    if unit != "tokviz.models":
        assert "transformers" not in packages, f"{path}: only tokviz/models/ talks to transformers"
    if unit == "tokviz.view":
        assert "torch" not in packages, f"{path}: a view draws arrays"
    if unit in NUMPY_ONLY:
        assert packages <= {"numpy", "safetensors"}, path


def test_the_check_sees_a_wrong_arrow(tmp_path, monkeypatch):
    """The checks above pass on a healthy tree; here one import is wrong and must be seen."""
    (tmp_path / "tokviz/view").mkdir(parents=True)
    (tmp_path / "tokviz/models").mkdir()
    (tmp_path / "tokviz/models/__init__.py").touch()
    wrong = Path("tokviz/view/overlay.py")
    (tmp_path / wrong).write_text("def draw():\n    from tokviz import models\n    import torch\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    with pytest.raises(AssertionError, match="must not import"):
        check_arrows(wrong)
    with pytest.raises(AssertionError, match="a view draws arrays"):
        check_libraries(wrong)


def test_no_module_has_a_name_that_says_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "core", "manager", "handler"}
    assert not [path for path in SOURCES if path.stem in vague]


def test_every_package_says_what_it_is_for():
    assert not [
        path
        for path in SOURCES
        if path.name == "__init__.py"
        and not ast.get_docstring(ast.parse((ROOT / path).read_text()))
    ]


def test_the_page_asks_no_other_host_for_scripts_or_styles():
    for path in (*ROOT.glob("assets/**/*.js"), *ROOT.glob("assets/**/*.css")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text, path
        assert "https://" not in text, path


def test_no_shipped_file_is_over_ten_megabytes():
    shipped = [p for folder in ("assets", "docs", "tests") for p in (ROOT / folder).rglob("*")]
    assert not [p for p in shipped if p.is_file() and p.stat().st_size > 10 * 2**20]
