"""Joins the ES modules in assets/js into one script, for pages in a single file.

`linked("page/main.js")` follows the imports from that module and wraps every module in a function,
after the modules that it imports. Nothing is renamed, so the code that runs is the code as written.

Why not as modules: Gradio puts its head into a page after its own modules have begun, where not
every browser takes an import map any more, and it builds the widgets without waiting for a module;
a saved page and a notebook's frame have no server and no origin to import from, and their content
policy lets one script run, known by its hash. A bundler (esbuild, rollup) would need node wherever
the page is served, or a built file under version control that has to be kept true.

Only one syntax is allowed, which Biome's formatter keeps: named imports from a relative path, and
`export const`, `export class` or `export function` before a name. Anything else raises ValueError.
A test runs the linked script and the modules side by side (tests/js/linked.test.mjs).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from tokviz.shipped_files import ASSETS

FOLDER = ASSETS / "js"
IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+\.js)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|class|function|async function) (\w+))", re.MULTILINE)
LEFT_OVER = re.compile(r"^(?:import|export)\b.*|\bimport(?:\(|\.meta).*", re.MULTILINE)
COMMENT = re.compile(r"^\s*/\*.*?\*/|^\s*//.*?$", re.MULTILINE | re.DOTALL)
"""Comments that begin a line; a comment behind code stays."""


def linked(entry: str, folder: Path = FOLDER) -> str:
    """Return one classic script with the same effect as importing a module.

    Args:
        entry: path of the module inside the folder, such as `page/main.js`.
        folder: where the modules are.

    Raises:
        ValueError: a module imports or exports in another syntax, or in a circle.
    """
    modules: dict[str, str] = {}
    _link(entry, folder, modules, ())
    body = "\n".join(modules.values())
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n{body}\n}})();\n'


def _link(name: str, folder: Path, modules: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module, and before it those that it imports, to `modules`."""
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' > '.join((*above, name))}.")
    if name in modules:
        return
    source = (folder / name).read_text("utf-8")
    for match in IMPORT.finditer(source):
        _link(_target(name, match[2]), folder, modules, (*above, name))
    modules[name] = _as_function(name, source)


def _target(name: str, path: str) -> str:
    """Return the path inside the folder of what a module imports."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def _as_function(name: str, source: str) -> str:
    """Return a module as a function that returns its exports and is called immediately."""

    def imported(match: re.Match[str]) -> str:
        names = re.sub(r"(\w+) as (\w+)", r"\1: \2", " ".join(match[1].split()))
        return f'const {{ {names} }} = modules["{_target(name, match[2])}"];'

    exports = ", ".join(match[1] for match in EXPORT.finditer(source))
    body = EXPORT.sub("", IMPORT.sub(imported, COMMENT.sub("", source)))
    if strange := LEFT_OVER.search(body):
        raise ValueError(
            f"{name} has `{strange[0]}`; allowed are named imports from a relative path and "
            "`export` before const, class or function."
        )
    return f'modules["{name}"] = (() => {{\n{body.strip()}\nreturn {{ {exports} }};\n}})();'
