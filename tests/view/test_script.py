"""The page's modules as one script: what it may hold, and what it must refuse."""

import re

import pytest

from tokviz.view.script import FOLDER, linked

MODULES = sorted(FOLDER.rglob("*.js"))


def write(folder, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.js").write_text(text)


def test_a_module_comes_after_those_that_it_imports_and_once(tmp_path):
    write(
        tmp_path,
        top='import { left } from "./left.js";\nimport { right as other } from "./right.js";\n',
        left='import {\n  base,\n} from "./base.js";\nexport const left = base;\n',
        right='import { base } from "./base.js";\nexport class right {}\n',
        base="export const base = 1;\n",
    )
    text = linked("top.js", tmp_path)
    order = re.findall(r'^modules\["(\w+)\.js"\]', text, re.MULTILINE)
    assert order == ["base", "left", "right", "top"]
    assert 'const { right: other } = modules["right.js"];' in text
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    "line",
    [
        'import * as all from "./base.js";',
        'import base from "./base.js";',
        'import { a } from "elsewhere";',
        "export default 1;",
        "export let changing = 1;",
        'export { a } from "./base.js";',
        'const later = () => import("./base.js");',
    ],
)
def test_ways_of_writing_that_would_be_lost_are_refused(tmp_path, line):
    write(tmp_path, top=f"{line}\n", base="export const a = 1;\n")
    with pytest.raises(ValueError, match=r"top\.js has `"):
        linked("top.js", tmp_path)


def test_circles_are_named(tmp_path):
    write(
        tmp_path,
        one='import { two } from "./two.js";\nexport const one = 1;\n',
        two='import { one } from "./one.js";\nexport const two = 2;\n',
    )
    with pytest.raises(ValueError, match=r"circle: one\.js > two\.js > one\.js"):
        linked("one.js", tmp_path)


def test_the_page_has_every_module_and_a_saved_page_only_the_explorer():
    page, saved = linked("page/main.js"), linked("page/offline.js")
    of_saved = ("page/offline.js", "page/frame_height.js")
    for path in MODULES:
        name = path.relative_to(FOLDER).as_posix()
        if name in of_saved:
            assert f'modules["{name}"] = ' in saved, f"{name} is imported by nothing"
        elif name != "base/types.js":
            assert f'modules["{name}"] = ' in page, f"{name} is imported by nothing"
    assert 'modules["compare/' not in saved
    assert 'modules["desk/' not in saved


def test_no_script_could_end_the_element_that_holds_it():
    for entry in ("page/main.js", "page/offline.js"):
        assert "</script" not in linked(entry).lower()
        assert "<!--" not in linked(entry)


@pytest.mark.parametrize(
    "old",
    ["Explore above", "next word apart", "stands at token", "blind to the", "shall", "must go"],
)
def test_the_page_speaks_plain_english(old):
    found = [path.name for path in MODULES if old in path.read_text("utf-8")]
    assert not found, f"{found}: {old!r} was replaced, see the glossary"
