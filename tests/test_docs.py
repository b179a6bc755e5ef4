"""Documents against code: tables, file map, links, commands, and the example in CONTRIBUTING."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.setting_readers import READERS
from components.setting_table import TABLE
from components.settings import READ_BY_TESTS, Settings
from scripts import write_docs
from tokviz.reduction import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("assets/**/*.md")])


def file_map():
    """The paths of the README's annotated tree."""
    tree = next(block for block in README.split("```") if block.startswith("\napp.py"))
    paths, above = [], []
    for line in tree.strip().splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name]
        paths.append("".join(above))
    return paths


@pytest.mark.parametrize("name", write_docs.LISTS)
def test_the_readmes_lists_are_what_the_code_says(name):
    assert write_docs.filled(README, name, write_docs.LISTS[name]()) == README, "run: make docs"


def test_every_method_is_in_the_readme():
    listed = set(re.findall(r"docs/methods\.md#(\w+)\)", README))
    assert listed == set(METHODS)


@pytest.mark.parametrize("page", write_docs.PAGES)
def test_the_generated_pages_are_what_the_code_says(page):
    assert (ROOT / page).read_text(encoding="utf-8") == write_docs.PAGES[page](), "run: make docs"


def test_the_example_of_the_signals_page_runs():
    code = re.search(r"```python\n(.*?)```", write_docs.PAGES["docs/signals.md"](), re.S)[1]
    names = {}
    exec(code, names)
    assert names["r"].kept.tolist() == [1, 3]


def test_a_marker_that_is_missing_is_named():
    with pytest.raises(SystemExit, match="<!-- methods --> once, found 0"):
        write_docs.filled("no markers", "methods", "table")


@pytest.mark.parametrize("path", file_map())
def test_the_file_map_names_what_exists(path):
    assert (ROOT / path).exists()
    assert (ROOT / path).is_dir() == path.endswith("/")


def test_the_file_map_names_every_part_of_the_library():
    parts = {
        f"tokviz/{path.name}{'/' if path.is_dir() else ''}"
        for path in (ROOT / "tokviz").iterdir()
        if not path.name.startswith(("_", "."))
    }
    assert parts == {path for path in file_map() if path.rstrip("/").count("/") == 1} - {
        path for path in file_map() if not path.startswith("tokviz/")
    }


def anchors(text):
    """What a page can be entered at: its headings, and the names that the reference documents."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^::: (\S+)$", text, re.M))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        linked = document.parent / path
        assert linked.exists(), f"{document.name} links to {target}"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), target


def test_every_make_command_in_a_document_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in DOCUMENTS:
        used = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.M))
        assert used <= targets, document.name
    assert {"run", "test"} <= set(re.findall(r"^make (\w+)", README, re.M))


def test_the_space_runs_what_requirements_pin():
    front = dict(re.findall(r"^(\w+): (.*)$", README.split("---")[1], re.M))
    pins = dict(re.findall(r"^([\w-]+)==(.*)$", (ROOT / "requirements.txt").read_text(), re.M))
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == pins["gradio"]
    assert (ROOT / front["app_file"]).exists()
    assert pins["torch"] == "2.13.0"


def test_every_setting_that_the_page_reads_is_documented():
    """The table of the document is the table that is read, and names the defaults that hold."""
    server = (ROOT / "docs/server.md").read_text()
    rows = re.findall(r"^\| `[A-Z_]+` \|.*$", server, re.M)
    assert rows == [setting.row() for setting in TABLE]
    for setting in (one for one in TABLE if one.field):
        default = getattr(Settings(), setting.field)
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        assert setting.default in (f"`{shown}`", "" if not default else None), setting.name


def test_what_reads_settings_reads_those_of_the_table():
    """A TOKVIZ_* that is read anywhere but not listed would be refused as unknown."""
    listed = {setting.name for setting in TABLE}
    for path in (ROOT / "app.py", *ROOT.glob("components/**/*.py"), *ROOT.glob("tokviz/**/*.py")):
        named = set(re.findall(r"\bTOKVIZ_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
        assert named <= listed | READ_BY_TESTS, path
    assert listed - {"GRADIO_ROOT_PATH", "GRADIO_TEMP_DIR", "HF_HOME"} == set(READERS)


def test_every_requirement_is_pinned_exactly():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.fullmatch(r"#.*|-r requirements\.txt|[\w.-]+==[\w.]+", line), line


@pytest.mark.slow
def test_the_method_in_contributing_runs_as_a_plugin(tmp_path):
    """The example is installed as a package of its own and found through its entry point."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    group, line = re.search(r'entry-points\."(.*?)"\]\n(.*?)\n', text).groups()
    (tmp_path / "your_package").mkdir()
    (tmp_path / "your_package/largest.py").write_text(code)
    info = tmp_path / "your_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: your-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")
    script = (
        "import json, tokviz\n"
        "signals = {'feats_post': [[1., 0.], [0., 3.], [2., 0.], [0., 0.]]}\n"
        "r = tokviz.reduce('largest', signals, keep=2)\n"
        "print(json.dumps([r.kept.tolist(), list(tokviz.METHODS['largest'].options)]))"
    )
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[1, 2], ["power"]]


def test_no_page_or_measurement_holds_a_folder_of_the_machine_that_wrote_it():
    files = [*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*") if p.is_file())]
    found = [
        p.name for p in files if re.search(rb"/tmp/tmp\w{6}|/root/|/home/\w+/", p.read_bytes())
    ]
    assert not found
