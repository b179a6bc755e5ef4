"""Visitors' files go: after an hour, with the process, and when a killed process left them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from components.server import upload_folder as uploads
from components.server.upload_folder import delete_old, make_room, own_folder

MAKE = "import sys, time; from components.server.upload_folder import own_folder; "
TELL = "print(own_folder(sys.argv[1]), flush=True); "


def started(place, then):
    """Make a folder in another process; return the process and its folder."""
    command = [sys.executable, "-c", MAKE + TELL + then, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, place / process.stdout.readline().strip()


def test_the_folder_goes_with_its_process(tmp_path):
    process, folder = started(tmp_path, "pass")
    assert process.wait(30) == 0
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_has_is_not(tmp_path):
    killed, left = started(tmp_path, "time.sleep(60)")
    living, used = started(tmp_path, "time.sleep(60)")
    try:
        (left / "picture.png").write_bytes(b"x")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        own_folder(str(tmp_path))
        assert not left.exists()
        assert used.exists()
    finally:
        living.kill()
        living.wait()


def test_a_folder_whose_lock_is_still_to_come_is_not_cleared(tmp_path):
    """Another process makes its folder first and the lock in it a moment later."""
    fresh = tmp_path / f"{uploads.PREFIX}fresh"
    fresh.mkdir()
    own_folder(str(tmp_path))
    assert fresh.exists()


def test_only_old_files_are_deleted_and_not_the_page_s_own(tmp_path, monkeypatch):
    (tmp_path / "some").mkdir()
    old, ours = tmp_path / "some/old.png", tmp_path / "some/ours.png"
    for path in (old, ours, tmp_path / "lock"):
        path.write_bytes(b"x")
    delete_old(tmp_path)
    assert old.exists()
    now = time.time()
    monkeypatch.setattr(uploads.time, "time", lambda: now + 3700)
    delete_old(tmp_path, {str(ours)})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["lock", "ours.png", "some"]


def test_when_room_is_short_the_oldest_files_go(tmp_path):
    names, last = ("0.png", "1.png", "2.png", "3.png", "lock"), 0
    for path in (tmp_path / name for name in names):
        path.write_bytes(b"x" * 10)
        while path.stat().st_ctime_ns == last:  # the file system's clock ticks
            path.write_bytes(b"x" * 10)
        last = path.stat().st_ctime_ns
    make_room(tmp_path, 20, kept={str(tmp_path / "0.png")})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.png", "2.png", "3.png", "lock",
    ]  # fmt: skip


def test_halves_of_uploads_go_before_whole_ones(tmp_path):
    (tmp_path / "some").mkdir()
    for name in ("some/old.png", "half", "coming"):
        (tmp_path / name).write_bytes(b"x" * 10)
    os.utime(tmp_path / "half", (0, 0))
    make_room(tmp_path, 20)
    assert {path.name for path in tmp_path.rglob("*")} == {"some", "old.png", "coming"}
