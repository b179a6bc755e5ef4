"""The texts that the server may say on the page, as they stand in the code, f-strings too."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tokviz.analysis.declare import ANALYSES
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS

ROOT = Path(__file__).parents[2]
ERRORS = (
    "TokvizError",
    "InputError",
    "FaultyPlugin",
    "MissingSignal",
    "ModelError",
    "Stopped",
    "TraceError",
)
FIELD = re.compile(r"\{\w*\}")
AXES = re.compile(r"\w( \w)*")
"""Letters of axes, such as "l h s"."""
NO_NAMES = {"str", "len", "repr", "join", "sorted", "type", "map", "int", "list", "self", "tuple"}
NOT_ON_THE_PAGE = {
    "components/endpoints": "said to programs",
    "components/server": "said before there is a page",
    "components/setting": "said where the server is started",
    "tokviz/array_input": "arrays, which are given in Python",
    "tokviz/capture": "an argument in Python",
    "tokviz/catalog": "the command line",
    "tokviz/cli": "the command line",
    "tokviz/cost": "a function in Python",
    "tokviz/evaluation": "measuring, from the command line",
    "tokviz/examine/faithfulness": "arrays in Python",
    "tokviz/examine/fillings": "arrays in Python",
    "tokviz/examine/pointing": "arrays in Python",
    "tokviz/matrix": "arrays in Python",
    "tokviz/models/clip_text": "loading in Python",
    "tokviz/models/runs/analysing": "the command line",
    "tokviz/models/runs/questions": "a list of questions in Python",
    "tokviz/models/runs/repeated_times": "an argument in Python",
    "tokviz/models/runs/same_question": "a trace given beside its picture, in Python",
    "tokviz/models/runs/same_run": "a trace given beside its picture, in Python",
    "tokviz/models/runs/schedule_search": "the command line",
    "tokviz/reduction/signals": "arrays in Python",
    "tokviz/sweeps": "sweeps, from the command line",
    "tokviz/testing": "checks of a method or family, from the command line",
    "tokviz/view/plots": "a function in Python",
    "tokviz/view/recipe": "a function in Python",
    "tokviz/view/still": "a function in Python",
    "tokviz/view/tables": "a function in Python",
}
"""Path of a module or package -> who reads its errors, since the page's readers do not."""


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Return the modules whose texts the page's readers see."""
    return tuple(
        (path, ast.parse(path.read_text("utf-8")))
        for home in ("components", "tokviz")
        for path in sorted((ROOT / home).rglob("*.py"))
        if not path.relative_to(ROOT).as_posix().startswith(tuple(NOT_ON_THE_PAGE))
    )


def template(node: ast.AST) -> str | None:
    """Return a text of the code; what an f-string fills in becomes a field in braces."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        seen: dict[str, int] = {}
        return "".join(
            part.value if isinstance(part, ast.Constant) else field(part, seen)
            for part in node.values
        )
    return None


def field(part: ast.AST, seen: dict[str, int]) -> str:
    """Return the name of what is filled in, in braces; the second of one name gets a number."""
    names = [n for n in re.findall(r"[A-Za-z_]\w*", ast.unparse(part.value)) if n not in NO_NAMES]
    name = (names or ["x"])[0].lower().strip("_")
    seen[name] = seen.get(name, 0) + 1
    return f"{{{name}{seen[name] if seen[name] > 1 else ''}}}"


def bare(text: str) -> str:
    """Return a template with nameless fields."""
    return FIELD.sub("{}", text)


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module gives names at its top."""
    return {
        target.id: text
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and (text := template(node.value))
    }


def raised() -> Iterator[tuple[Path, str]]:
    """Yield the sentences of errors, with the modules that raise them."""
    for path, tree in modules():
        named = constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            given = node.exc.args[0] if node.exc.args else None
            if getattr(node.exc.func, "id", "") not in ERRORS or given is None:
                continue
            text = named.get(given.id) if isinstance(given, ast.Name) else template(given)
            if text and re.search(r"[A-Za-z]{2}", FIELD.sub("", text)):
                yield path, text


def of_analyses() -> set[str]:
    """Return what the menu says of every analysis."""
    return {
        text
        for one in ANALYSES.values()
        for text in (one.title, one.summary, one.meaning, one.not_meaning)
    }


def of_parts() -> set[str]:
    """Return what each further array of an analysis' result means."""
    found = set()
    for path, tree in modules():
        if path.parent.name != "analysis":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Part":
                texts = [template(given) for given in node.args[1:]]
                texts += [
                    template(given.value) for given in node.keywords if given.arg == "meaning"
                ]
                found |= {text for text in texts if text and " " in text and "{" not in text}
    return {text for text in found if not AXES.fullmatch(text)}


def of_methods() -> set[str]:
    """Return the one line that the menus say of every method and mitigation."""
    return {one.summary for one in (*METHODS.values(), *MITIGATIONS.values())}


def literals() -> set[str]:
    """Return all texts of the code; what stands around a field is a text of its own."""
    return {
        node.value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def is_said(text: str, known: set[str], together: str) -> bool:
    """Return whether the fixed parts of a template consist of texts of the code.

    Args:
        text: the template.
        known: the texts of the code.
        together: the same as one text.

    A part may be made of several texts that follow each other, each of two words or more, or whole.
    """
    return all(consists(part.split(), known, together) for part in FIELD.split(text))


def consists(words: list[str], known: set[str], together: str) -> bool:
    """Return whether words are a row of texts of the code, longest first."""
    while words:
        for length in range(len(words), 0, -1):
            found = " ".join(words[:length])
            bare_word = found.strip(" .,;:()“”")
            if length > 1 and found in together or not bare_word or bare_word in known:
                break
            if length == len(words) == 1 and bare_word in together:
                break
        else:
            return False
        words = words[length:]
    return True
