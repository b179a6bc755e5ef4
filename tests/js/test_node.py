"""Runs the tests of the page's scripts, which are written for node (tests/js/*.test.mjs)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
FILES = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.skipif(NODE is None, reason="no node on this machine: the scripts were not tested")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_scripts_in_node(path):
    more = {"TOKVIZ_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [NODE, "--test", str(path)], cwd=ROOT, env=os.environ | more, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
