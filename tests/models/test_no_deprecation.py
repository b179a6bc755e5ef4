"""What tokviz calls is not deprecated: no such warning, nor such a line of a library's log."""

import logging
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

import tokviz
from tests.models.test_promises import PROMPT

ROOT = Path(__file__).parents[2]
BETWEEN_LIBRARIES = "__array__ implementation doesn't accept a copy keyword"
"""What NumPy 2 says where a processor of transformers makes arrays of tensors, in its own lines."""
LIBRARIES = ("transformers", "torch", "tokenizers", "huggingface_hub")


class Lines(logging.Handler):
    """Collects what is logged; transformers logs a warning of one kind only once in a process."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextmanager
def deprecations():
    """Give a list that holds what was said about deprecation, by warnings and by logs."""
    heard, found = Lines(), []
    for name in LIBRARIES:
        logging.getLogger(name).addHandler(heard)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        for name in LIBRARIES:
            logging.getLogger(name).removeHandler(heard)
    kinds = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
    found += [
        f"{one.filename}: {one.message}"
        for one in caught
        if issubclass(one.category, kinds)
        and not ("transformers" in one.filename and BETWEEN_LIBRARIES in str(one.message))
    ]
    found += [line for line in heard.lines if "deprecat" in line.lower()]


@pytest.mark.matrix
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_and_running_any_family_uses_nothing_deprecated(checkpoint, family, cat, dtype):
    with deprecations() as found:
        vlm = tokviz.load(checkpoint(family), dtype=dtype)
        inside = ("tome",) if vlm.info["tower_layers"] else ()
        for method in (*inside, "divprune", "fastv", "snapkv"):
            vlm.answer(cat, PROMPT, tokviz.plan(method, keep="50%"), 2)
        trace = vlm.answer([cat, cat.rotate(90)], PROMPT, tokviz.plan(mitigation="pai"), 2)
        assert trace.t
    assert found == []


@pytest.mark.weekly
@pytest.mark.slow
def test_neither_the_commands_nor_the_page_begin_with_a_deprecation():
    """At import, too: the page's packages among them, as far as tokviz's own lines call them."""
    code = (
        "import os, warnings\n"
        "os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import tokviz.cli.main\n"
        "    from components.server.serve import site_and_page\n"
        "    from components.settings import read_settings\n"
        "    site_and_page(read_settings(), {})\n"
        "ours = (os.path.join(os.getcwd(), 'tokviz'), os.path.join(os.getcwd(), 'components'))\n"
        "print([f'{w.filename}:{w.lineno} {w.message}' for w in caught\n"
        "       if w.filename.startswith(ours) or issubclass(w.category, FutureWarning)])\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
    assert "deprecat" not in done.stderr.lower()
