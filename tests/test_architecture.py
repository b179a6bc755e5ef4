"""Arrows point down: app -> components -> models, view -> analysis, reduction -> trace -> errors.

Reads the imports of every file and runs nothing: imports at any depth, relative ones, and modules
that are named in a call of `import_module`. A unit (a package, or a module that stands alone) may
import what stands in a lower line of LAYERS, and itself; a new unit needs a place there. Imports
for type checking alone are passed over.
"""

import ast
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    line.split()
    for line in """
app
components.server
components.page
components.board components.desk components.endpoints components.history components.lessons
components.maps
components.compare
components.ask components.look
components.screen components.figures components.share
components.answering
components.site
components.runs
components.settings
components components.widgets components.setting_readers components.setting_table
components.chart_language
components.error_text components.i18n
tokviz.__main__
tokviz.cli
tokviz.catalog
tokviz.testing
tokviz
tokviz.sweeps
tokviz.examine
tokviz.models
tokviz.models.vlm
tokviz.models.runs
tokviz.models.before
tokviz.models.decoder
tokviz.models.tower
tokviz.models.prepared tokviz.models.loaded
tokviz.models.clip_text
tokviz.models.checkpoints
tokviz.models.families
tokviz.models.model_lock
tokviz.models.model_state
tokviz.models.apply_reduction tokviz.models.attention tokviz.models.clock tokviz.models.hooks
tokviz.models.attention_call
tokviz.models.answer_text tokviz.models.not_finite
tokviz.models.adapters tokviz.models.compiled tokviz.models.foreign_errors
tokviz.models.out_of_memory
tokviz.view tokviz.plans tokviz.cost
tokviz.mitigation
tokviz.analysis tokviz.reduction
tokviz.trace
tokviz.film tokviz.per_head
tokviz.capture tokviz.evaluation tokviz.images tokviz.matrix tokviz.options tokviz.prompts
tokviz.registry tokviz.sink_dims tokviz.time_ratio
tokviz.array_input tokviz.budget tokviz.interruption tokviz.keywords tokviz.text
tokviz.errors tokviz.extras tokviz.git_lfs tokviz.load_options tokviz.method_filters tokviz.names
tokviz.notebook_display tokviz.old_paths tokviz.progress tokviz.shipped_files
tokviz.torch_on_use
""".strip().splitlines()
]
"""From the top down; units in one line do not import each other."""
HEIGHT = {unit: -row for row, line in enumerate(LAYERS) for unit in line}
SOURCES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("tokviz/**/*.py"), *ROOT.glob("components/**/*.py"), ROOT / "app.py")
    if path.exists()
)
FACADE = Path("tokviz/__init__.py")
LOADED_ON_USE = {"torch", "captum"}
"""What an analysis may import inside a function, and nowhere else."""
ON_USE = "tokviz.torch_on_use"
"""Where torch comes from in a file that is imported for its declarations, too."""
DECLARED = ("tokviz.mitigation", "tokviz.reduction")
NUMPY_ONLY = {
    "tokviz.errors",
    "tokviz.evaluation",
    "tokviz.matrix",
    "tokviz.trace",
}


def module_of(path):
    """tokviz/view/overlay.py -> tokviz.view.overlay."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module):
    """The unit a module belongs to, by the longest name in LAYERS: tokviz.view.x -> tokviz.view."""
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    # a top package is a unit by itself, not the home of modules that have no place
    return next((n for n in names if n in HEIGHT and ("." in n or module == n)), module)


def type_checking_nodes(tree):
    """Every node under an `if TYPE_CHECKING:`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for statement in node.body for inner in ast.walk(statement))


def nodes_in_functions(tree):
    """Every node inside a function, which runs only when that is called."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from (inner for statement in node.body for inner in ast.walk(statement))


@cache
def imports_of(file, for_types=True, in_functions=True):
    """Every module that a file imports, at any depth and also by `import_module("...")`.

    Args:
        file: the file.
        for_types: count imports for type checking alone.
        in_functions: count what is imported only when a function is called.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    passed = set() if for_types else set(type_checking_nodes(tree))
    passed |= set() if in_functions else set(nodes_in_functions(tree))
    found = set()
    for node in ast.walk(tree):
        if node in passed:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = absolute(file, node)
            below = {f"{home}.{alias.name}" for alias in node.names}
            found |= {name for name in below if is_module(name)} or {home}
        elif isinstance(node, ast.Call):
            found |= imported_by_call(node)
    return found


def absolute(file, node):
    """The full name of the module that a from-import takes from."""
    if not node.level:
        return node.module
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join([*parts[: -node.level], *([node.module] if node.module else [])])


def imported_by_call(node):
    """The module that a call of `import_module` or `__import__` with a literal name loads."""
    called = ast.unparse(node.func).rpartition(".")[2]
    literal = node.args and isinstance(node.args[0], ast.Constant)
    return {node.args[0].value} if called in ("import_module", "__import__") and literal else set()


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def packages_of(path, in_functions=True):
    """Top-level names of what a file imports from outside the project and the standard library."""
    names = imports_of(ROOT / path, in_functions=in_functions)
    tops = {"torch" if name == ON_USE else name.split(".")[0] for name in names}
    return tops - set(sys.stdlib_module_names) - {"tokviz", "components", "app"}


def test_imports_point_down():
    for path in SOURCES:
        if path != FACADE:
            check_arrows(path)


def check_arrows(path):
    unit = unit_of(module_of(path))
    assert unit in HEIGHT, f"give {unit} a place in LAYERS"
    for name in imports_of(ROOT / path, for_types=False):
        other = unit_of(name)
        if name.split(".")[0] in ("tokviz", "components", "app", "embedded") and other != unit:
            assert other in HEIGHT, f"{path} imports {name}, which has no place in LAYERS"
            assert HEIGHT[other] < HEIGHT[unit], f"{path} must not import {name}"


def test_nothing_below_the_facade_knows_it_not_even_for_types():
    facade = "tokviz.models.vlm"
    units = {path: unit_of(module_of(path)) for path in SOURCES}
    below = [p for p, u in units.items() if u.startswith("tokviz.models.") and u != facade]
    assert len(below) > 40
    assert not [path for path in below if facade in imports_of(ROOT / path)]


def circles(arrows):
    """Groups of files that import each other, directly or over others."""

    def reach(start):
        seen, waiting = set(), list(arrows[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += arrows.get(name, ())
        return seen

    reached = {name: reach(name) for name in arrows}
    return {name for name in arrows if name in reached[name]}


def test_no_file_imports_itself_over_others():
    arrows = {module_of(path): imports_of(ROOT / path, for_types=False) for path in SOURCES}
    assert not circles(arrows)


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {"b", "c"}


def test_heavy_libraries_stay_in_their_place():
    for path in SOURCES:
        check_libraries(path)


def check_libraries(path):
    unit, packages = unit_of(module_of(path)), packages_of(path)
    if unit.startswith("tokviz"):
        assert "gradio" not in packages, f"{path}: no gradio in the library"
    if not unit.startswith(("tokviz.models", "tokviz.testing")):
        assert "transformers" not in packages, f"{path}: only tokviz/models/ talks to transformers"
    if unit == "tokviz.view":
        assert "torch" not in packages, f"{path}: a view draws arrays"
    if unit in DECLARED:
        at_once = imports_of(ROOT / path, for_types=False, in_functions=False)
        torch = [name for name in at_once if name.split(".")[0] == "torch"]
        assert not torch, f"{path}: from {ON_USE} import torch, so that lists need not wait for it"
    if unit in NUMPY_ONLY:
        assert packages <= {"numpy", "safetensors"}, path
    if unit == "tokviz.analysis":
        at_once = packages_of(path, in_functions=False)
        assert at_once <= {"numpy"}, f"{path}: import {at_once} inside the function that needs it"
        assert packages <= {"numpy", *LOADED_ON_USE}, path


def test_the_check_sees_a_wrong_arrow(tmp_path, monkeypatch):
    """The checks above pass on a healthy tree; here one import is wrong and must be seen."""
    (tmp_path / "tokviz/view").mkdir(parents=True)
    (tmp_path / "tokviz/models").mkdir()
    (tmp_path / "tokviz/models/__init__.py").touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for number, line in enumerate(
        ("from tokviz import models", "from .. import models", 'import_module("tokviz.models")')
    ):
        wrong = Path(f"tokviz/view/overlay{number}.py")
        (tmp_path / wrong).write_text(f"def draw():\n    {line}\n    import_module('torch')\n")
        with pytest.raises(AssertionError, match="must not import"):
            check_arrows(wrong)
        with pytest.raises(AssertionError, match="a view draws arrays"):
            check_libraries(wrong)


def class_names(paths):
    """Every class and capitalised type alias at the top level of a file, once per file."""
    for path in paths:
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Callable["):
                yield ast.unparse(node.targets[0])


def test_no_class_name_stands_for_two_things():
    library = [path for path in SOURCES if path.parts[0] == "tokviz"]
    twice = [name for name, count in Counter(class_names(library)).items() if count > 1]
    assert not twice


def test_the_check_sees_what_an_analysis_loads_at_once(tmp_path, monkeypatch):
    (tmp_path / "tokviz/analysis").mkdir(parents=True)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    at_once, on_use, other = (Path(f"tokviz/analysis/{name}.py") for name in ("a", "b", "c"))
    (tmp_path / at_once).write_text("import numpy\nif True:\n    torch = import_module('torch')\n")
    (tmp_path / on_use).write_text("import numpy\ndef f():\n    import torch\n")
    (tmp_path / other).write_text("def f():\n    import scipy\n")
    check_libraries(on_use)
    with pytest.raises(AssertionError, match="inside the function that needs it"):
        check_libraries(at_once)
    with pytest.raises(AssertionError):
        check_libraries(other)


def test_the_check_sees_torch_in_a_file_that_declares_a_method(tmp_path, monkeypatch):
    (tmp_path / "tokviz/reduction").mkdir(parents=True)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    at_once, on_use = (Path(f"tokviz/reduction/{name}.py") for name in ("a", "b"))
    (tmp_path / at_once).write_text("import torch.nn.functional as F\n")
    (tmp_path / on_use).write_text(f"from {ON_USE} import torch\n")
    check_libraries(on_use)
    assert "torch" in packages_of(on_use)
    with pytest.raises(AssertionError, match="lists need not wait for it"):
        check_libraries(at_once)


def test_the_page_imports_its_own_files_by_relative_names():
    """The wheel packs components as tokviz.components, where `import components` finds nothing."""
    for path in (ROOT / "components").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not [n for n in names if n.split(".")[0] in ("components", "app")], path


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
