"""Progress shows on a terminal alone, and never beside JSON."""

import argparse
import io
import sys

import pytest

from tokviz import progress
from tokviz.cli.flags import load_options


class Terminal(io.StringIO):
    """What a command writes its progress to."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Function: stderr is a terminal from now on; returns it."""

    def begin():  # not in the fixture itself: pytest puts its own stderr there before the test
        monkeypatch.setattr("sys.stderr", Terminal())
        return sys.stderr

    return begin


def asked(**more):
    return argparse.Namespace(**more)


def show_everything(arguments):
    """Use every kind of progress once, as the commands do."""
    with progress.counting(arguments, "forward") as count:
        if count:
            count(3, 12)
            count(12, 12)
    with progress.searching(arguments, "answer", "smallest set so far: {} tokens") as count:
        if count:
            count(1, 7)
    tell = progress.lines(arguments)
    for line in ("loading the weights: 25 %", "ready: tiny") if tell else ():
        tell(line)


def test_a_terminal_sees_how_far_it_is(terminal):
    written = terminal()
    show_everything(asked(json=False))
    text = written.getvalue()
    for part in ("12/12", "forward", "smallest set so far: 7 tokens", "25 %", "ready: tiny"):
        assert part in text, part


@pytest.mark.parametrize("flag", ["json", "quiet"])
def test_with_json_or_quiet_nothing_is_written(terminal, flag):
    written = terminal()
    show_everything(asked(**{flag: True}))
    assert not written.getvalue()


def test_a_file_gets_no_progress(capsys):
    show_everything(asked(json=False))
    assert capsys.readouterr() == ("", "")


def test_loading_tells_a_terminal_and_no_reader_of_json(terminal):
    terminal()
    names = dict.fromkeys(("device", "dtype", "bits", "device_map", "revision", "clip"))
    assert "progress" in load_options(asked(json=False, **names))
    assert "progress" not in load_options(asked(json=True, **names))
