"""The site that `make docs` builds: every page is found, every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tokviz import __all__ as public

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. --strict makes a missing page, link or anchor an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built_and_no_link_leaves_for_a_source_file(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"CONTRIBUTING", "SECURITY"} <= {path.stem for path in site.glob("*.html")}
    for page in set(site.glob("*.html")) - {site / "404.html"}:  # that one is served anywhere
        for target in re.findall(r'href="(?!https?://|#|mailto:|data:)([^"#]*)', page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_the_reference_has_every_public_name(site):
    text = (site / "reference.html").read_text()
    listed = {name.rpartition(".")[2] for name in re.findall(r'id="(tokviz\.[\w.]+)"', text)}
    assert {name for name in public if name[0].islower() and name != "sweep"} <= listed
    assert {"sweep", "Reduction", "Trace", "InputError", "VLM"} <= listed


@pytest.mark.slow
def test_the_site_asks_no_other_host(site):
    for page in site.glob("*.html"):
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', page.read_text())
