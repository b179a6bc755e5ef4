"""The wheel: built, installed into an environment of its own, and opened from another folder."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.serving import PATIENT, ROOT, started

pytestmark = pytest.mark.slow
MAX_BYTES = 40 * 10**6
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FOLDERS = ("tokviz", "components", "assets")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a clean copy of the sources, so that no earlier build gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        unwanted = shutil.ignore_patterns("__pycache__", "*.pyi")
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    build = ("wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(out))
    subprocess.run([*PIP, *build], check=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an environment that has the wheel, and sees this one's packages."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin/python"
    into = ("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    subprocess.run([*PIP, *into], check=True)
    (packages,) = home.glob("lib/*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home / "bin"


def without_checkout():
    """The environment of this process, with no way to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_the_wheel_is_small_and_holds_one_package(wheel):
    assert wheel.name.startswith("tokviz_lab-")
    assert wheel.stat().st_size <= MAX_BYTES
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tokviz"}
    files = [path for path in (ROOT / "assets").rglob("*") if path.is_file()]
    assert {f"tokviz/{path.relative_to(ROOT)}" for path in files} <= set(names)
    assert "tokviz/components/page.py" in names


def test_the_page_opens_from_any_folder_and_answers(installed, tmp_path):
    picture = handle_file(ROOT / "assets/examples/scene_1.png")
    env = {**without_checkout(), "TMPDIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    with started([str(installed / "tokviz")], tmp_path, env) as server:
        client = Client(server.address, verbose=False, httpx_kwargs=PATIENT)
        found = client.predict(image=picture, prompt="is there a dog ?", api_name="/answer")
        assert found["full"]["answer"].strip()
        server.process.send_signal(signal.SIGTERM)
        text, _ = server.process.communicate(timeout=120)
    assert server.process.returncode == 0, text
    assert "Traceback" not in text


def test_with_a_command_it_is_the_command_line(installed, tmp_path):
    asked = [str(installed / "tokviz"), "methods", "--json"]
    done = subprocess.run(
        asked, cwd=tmp_path, env=without_checkout(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"fastervlm"' in done.stdout


def test_modules_of_the_page_come_from_the_package(installed, tmp_path):
    code = (
        "from importlib.util import find_spec as find;"
        "print(*(find(name).origin for name in ('tokviz', 'tokviz.components.page')))"
    )
    asked = [str(installed / "python"), "-c", code]
    done = subprocess.run(
        asked, cwd=tmp_path, env=without_checkout(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(Path(path).is_relative_to(installed.parent) for path in done.stdout.split())
