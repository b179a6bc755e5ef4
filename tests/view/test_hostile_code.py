"""Whatever a stranger writes into a trace, the code and pages made of it hold it as text.

The Python is not run here: it is read, and must consist of the calls that a recipe may make.
"""

import ast
import json
import re
import shlex
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.hostile_files import kinds, parts_of, with_header
from tokviz.cli import main as cli
from tokviz.errors import InputError, TraceError
from tokviz.sweeps.rows import COLUMNS
from tokviz.sweeps.summary import command
from tokviz.trace import open_trace
from tokviz.view.explorer import explorer_payload
from tokviz.view.notebook import FIT, frame
from tokviz.view.page_file import page_html
from tokviz.view.recipe import recipe

pytestmark = pytest.mark.slow

EVIL = (
    "a=__import__('os').abort())#",
    '"); import os; os.abort() #',
    "\n__import__('os').abort()\n",
    "'''\\\"\"\"{}%s",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=HYPERLINK(1)",
    "\u2028\x00\x1b]0;x\x07",
)
MARKUP = "'\"></script><img src=x onerror=alert(1)>"
CALLS = {
    "tokviz.load", "tokviz.plan", "tokviz.analyse", "tokviz.Reduction.select", "vlm.answer",
    "plan.mitigated", "plan.then", "Plan", "chosen", "draw", "print", "np.argsort",
    "tokviz.open_film",
}  # fmt: skip
METHODS = {"astype", "mean", "sum", "save", "then"}
"""Of what a call or an index gives."""
NAMES = {
    "tokviz", "np", "vlm", "plan", "trace", "values", "words", "token", "draw", "print", "Plan",
    "chosen", "shown",
}  # fmt: skip
MODULES = {"numpy", "tokviz", "tokviz.view.still", "tokviz.plans"}
KINDS = kinds()


def check_python(source):
    """Fail unless a text is Python made of the names and calls that a recipe may use."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            chained = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
            assert chained or ast.unparse(node.func) in CALLS, ast.unparse(node)
        elif isinstance(node, ast.Name):
            assert node.id in NAMES, node.id
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= MODULES
        elif isinstance(node, ast.ImportFrom):
            assert node.module in MODULES
        assert not isinstance(node, (ast.Lambda, ast.FunctionDef, ast.ClassDef, ast.JoinedStr))


def texts(value):
    """Yield (path, "value" or "name") of every text in a header; of long lists the first ones."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (name,), "name"
            yield from (((name, *path), kind) for path, kind in texts(inner))
    elif isinstance(value, list):
        for number, inner in list(enumerate(value))[:8]:
            yield from (((number, *path), kind) for path, kind in texts(inner))
    elif isinstance(value, str):
        yield (), "value"


def with_text(header, path, kind, new):
    """Return a copy of a header with another text, or another name, at a path."""
    copied = json.loads(json.dumps(header))
    inner = copied
    for name in path[:-1]:
        inner = inner[name]
    inner[new if kind == "name" else path[-1]] = inner.pop(path[-1]) if kind == "name" else new
    return copied


@pytest.mark.parametrize("name", ["pruned", "steps"])
@pytest.mark.parametrize("evil", EVIL)
def test_no_text_of_a_trace_becomes_code(name, evil):
    header = parts_of(KINDS[name])[1]
    opened = written = 0
    for path, kind in texts(header):
        try:
            trace = open_trace(with_header(KINDS[name], with_text(header, path, kind, evil)))
        except TraceError:
            continue
        opened += 1
        for shown in ("attention", "score", "phi", "tower", "tam"):
            with suppress(InputError):  # of a method that is not here
                check_python(recipe(trace, {"map": shown, "layer": 1, "head": 1}, picture=evil))
                written += 1
    assert opened > 10
    assert written > 10


@pytest.mark.parametrize("evil", [*EVIL, "a b", "", "1a", "ключ", "x" * 99])
def test_an_options_name_that_is_no_name_is_refused(evil):
    header = parts_of(KINDS["steps"])[1]
    bad = with_text(header, ("mitigation", "options", "alpha"), "name", evil)
    with pytest.raises(TraceError, match="'mitigation' in the header: an option's name must be"):
        open_trace(with_header(KINDS["steps"], bad))


class Shown(str):
    """A text whose repr is code: what a value's own class could do."""

    __slots__ = ()

    def __repr__(self):
        return "__import__('os').abort()"


@pytest.mark.parametrize("evil", EVIL)
def test_no_setting_of_a_lane_becomes_code(evil):
    trace = open_trace(KINDS["steps"])
    for lane in (
        {"method": evil, "keep": 3, "options": {evil: evil, "b": float("nan"), "c": [1]}},
        {"method": "fastv", "keep": 3, "positions": evil, "forced": [1]},
        {"method": "fastv", "keep": "3", "options": {"keep": Shown("x"), "layer": {"a": evil}}},
    ):
        check_python(recipe(trace, {"scaling": evil}, picture=evil, lane=lane))


def test_the_check_itself_finds_code():
    for source in ("f(1)", "plan = Plan(x=__import__('os'))", "import os", "print(open)"):
        with pytest.raises(AssertionError):
            check_python(source)


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))


def accepted(header, changes):
    """Return the header with every change after which its trace can still be opened."""
    for path, kind, new in changes:
        changed = with_text(header, path, kind, new)
        try:
            open_trace(with_header(KINDS["steps"], changed))
        except TraceError:
            continue
        header = changed
    return header


def hostile_headers():
    """Yield headers with all texts hostile at once, then with one hostile name each."""
    plain = parts_of(KINDS["steps"])[1]
    places = list(texts(plain))
    for evil in EVIL:
        yield accepted(plain, [(path, kind, evil) for path, kind in places if kind == "value"])
    for path, kind in places:
        if kind == "name":
            yield accepted(plain, [(path, kind, MARKUP)])


def test_no_text_of_a_trace_becomes_an_element_or_ends_a_script():
    plain = open_trace(KINDS["steps"])
    clean = Tags(page_html(explorer_payload(plain, "run"))).found
    seen = 0
    for header in hostile_headers():
        if header == parts_of(KINDS["steps"])[1]:
            continue  # refused
        seen += 1
        trace = open_trace(with_header(KINDS["steps"], header))
        assert Tags(page_html(explorer_payload(trace, "run"))).found == clean, header
        shown = frame(trace)
        assert shown.endswith(FIT)  # the only script, and always the same
        assert [tag for tag, _ in Tags(shown).found] == ["iframe", "script"], header
    assert seen > len(EVIL)


@pytest.mark.parametrize("evil", [*EVIL, "$(reboot)", "`reboot`", "--trace=/etc/passwd", "-x"])
def test_no_text_of_a_row_becomes_another_command_or_flag(evil):
    row = dict.fromkeys(COLUMNS, "")
    row |= {"image": "/a/" + evil, "prompt": evil, "model": evil, "method": "fastv", "keep": 3}
    words = shlex.split(command(row))
    asked = cli.make_parser().parse_args(words[3:])
    assert (asked.prompt, asked.model, asked.trace) == (evil, evil, "run.safetensors")


def test_tables_of_numbers_hold_no_text_of_strangers():
    """The numbers that the page saves as CSV are named by us and hold numbers and our own words."""
    source = next(Path(__file__).parents[2].glob("assets/js/**/sharing.js")).read_text("utf-8")
    rows = re.search(r"rows\(\) \{.*?\n    \}", source, re.S)[0]
    assert not re.search(r"payload|prompt|answer|title|text|words", rows)
