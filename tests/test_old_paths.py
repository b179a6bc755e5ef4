"""Names that the documentation once gave for modules stay importable."""

import importlib
import subprocess
import sys

import pytest

from tokviz.old_paths import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_gives_the_module_under_its_new_name(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=MOVED[old]):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])
    assert module.__name__ == module.__spec__.name == MOVED[old]


def test_an_old_name_can_be_taken_from_the_package():
    code = "from tokviz import trace_io; import tokviz; assert trace_io is tokviz.trace.trace_io"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_name_that_never_was_is_still_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tokviz.reduction.selektion")
