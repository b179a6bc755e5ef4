"""A setting that is wrong or misspelt ends the program with one sentence, whatever it is."""

import os
import socket
import subprocess
import sys

import pytest

from components.runs.models import check_placement
from components.setting_readers import READERS, SettingError
from components.setting_table import TABLE
from components.settings import (
    READ_BY_TESTS,
    Settings,
    check_port,
    load_options,
    read_settings,
)
from tests.serving import ROOT

WRONG = {
    "TOKVIZ_MODELS": ["embeded", "/no/such/folder", "./nowhere", " , ", "a b/c", "embedded,../x"],
    "TOKVIZ_DEVICE": ["gpu", "cuda:x", "CPU "],
    "TOKVIZ_DTYPE": ["fp16", "float64"],
    "TOKVIZ_BITS": ["2", "four", "16"],
    "TOKVIZ_DEVICE_MAP": ["all", "balance"],
    "TOKVIZ_MAX_NEW_TOKENS": ["0", "2000", "many", "-1", "1.5", "٣"],
    "TOKVIZ_MAX_VISUAL_TOKENS": ["-1", "many", "1.5", "2000000", "٣"],
    "TOKVIZ_QUEUE": ["0", "many"],
    "TOKVIZ_RUNS_MB": ["0"],
    "TOKVIZ_HEADS_MB": ["-1", "some"],
    "TOKVIZ_UPLOAD_MB": ["21"],
    "TOKVIZ_UPLOADS_MB": ["49"],
    "TOKVIZ_MAX_SECONDS": ["0"],
    "TOKVIZ_REQUESTS_PER_MINUTE": ["0"],
    "TOKVIZ_AUTH": ["ann", "ann:", ":x", ","],
    "TOKVIZ_TRUST_PROXY": ["maybe", "2", "nginx"],
    "TOKVIZ_HOSTS": ["https://lab.example.org", "lab:80", "a/b", ",", "*x"],
    "TOKVIZ_CONNECTIONS": ["19"],
    "TOKVIZ_METRICS": ["short"],
    "TOKVIZ_MCP": ["si", "TRUEE"],
    "TOKVIZ_SHARE_HOURS": ["-1", "2161", "a week", "1.5"],
    "TOKVIZ_EXAMPLES": ["/no/such/folder", str(ROOT / "README.md")],
    "TOKVIZ_LOG": ["jason"],
    "GRADIO_SERVER_NAME": [],
    "GRADIO_SERVER_PORT": ["0", "70000", "http"],
}


def test_every_setting_has_wrong_values_to_try():
    assert set(WRONG) == set(READERS)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_value_is_one_sentence(name):
    for text in WRONG[name]:
        with pytest.raises(SettingError) as caught:
            read_settings({name: text})
        assert caught.value.code == 2
        said = str(caught.value)
        assert said.startswith(f"{name} must be "), said
        assert said.endswith(".")
        assert "\n" not in said


@pytest.mark.parametrize("name", ["TOKVIZ_TRUST_PROXY", "TOKVIZ_MCP"])
def test_yes_and_no_are_understood_in_all_their_forms(name):
    field = name[7:].lower()
    for word, on in [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False),
                     ("False", False), ("", False), ("off", False), ("on", True)]:  # fmt: skip
        assert getattr(read_settings({name: word}), field) is on


def test_a_misspelt_name_is_refused_with_the_name_that_was_meant():
    with pytest.raises(SettingError, match=r"no setting TOKVIZ_QUEU: did you mean TOKVIZ_QUEUE\?"):
        read_settings({"TOKVIZ_QUEU": "3"})
    with pytest.raises(SettingError, match=r"no setting TOKVIZ_XYZZY: docs/server.md lists"):
        read_settings({"TOKVIZ_XYZZY": "3"})


def test_what_tests_and_scripts_read_is_not_taken_for_a_misspelt_name():
    assert read_settings(dict.fromkeys(READ_BY_TESTS, "/a/folder")) == Settings(personal=True)


def test_nothing_set_is_the_defaults_and_a_space_is_open_behind_its_proxy():
    assert read_settings({}) == Settings(personal=True)
    assert read_settings({setting.name: "" for setting in TABLE}) == Settings(personal=True)
    space = read_settings({"SPACE_ID": "a/b"})
    assert (space.trust_proxy, space.server_name) == (True, "0.0.0.0")
    assert not read_settings({"SPACE_ID": "a/b", "TOKVIZ_TRUST_PROXY": "no"}).trust_proxy


def test_right_values_are_taken(tmp_path):
    told = {"TOKVIZ_MODELS": f"embedded, Qwen/Qwen2-VL-2B-Instruct@main ,{tmp_path}",
            "TOKVIZ_EXAMPLES": str(tmp_path), "TOKVIZ_HOSTS": "Lab.example.org,*.ours.org",
            "TOKVIZ_LOG": "json", "GRADIO_SERVER_PORT": "80"}  # fmt: skip
    settings = read_settings(told)
    assert settings.models == ("embedded", "Qwen/Qwen2-VL-2B-Instruct@main", str(tmp_path))
    assert settings.hosts == ("lab.example.org", "*.ours.org")
    assert (settings.examples, settings.json_logs, settings.server_port) == (tmp_path, True, 80)
    assert load_options({"TOKVIZ_BITS": "8", "TOKVIZ_DEVICE": "cuda:1"}) == {
        "bits": 8, "device": "cuda:1",
    }  # fmt: skip


def test_a_device_that_is_not_there_is_a_sentence():
    with pytest.raises(SettingError, match=r"TOKVIZ_DEVICE: the device 'cuda:77' cannot be used"):
        check_placement({"device": "cuda:77"})
    check_placement({"device": "cpu"})


def test_a_port_in_use_is_a_sentence_at_once():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(SettingError, match=f"cannot listen on 127.0.0.1 at port {port}"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
    with pytest.raises(SettingError, match=r"cannot listen on no-such-host.invalid"):
        check_port("no-such-host.invalid", port)


@pytest.mark.parametrize("wrong", [{"TOKVIZ_TRUST_PROXY": "maybe"}, {"TOKVIZ_QUEU": "1"}])
def test_the_program_ends_with_the_sentence_and_code_2(wrong):
    """The sentence comes before anything heavy is loaded, and is all that is said."""
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **wrong},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert next(iter(wrong)) in done.stderr


def test_the_program_ends_at_once_when_its_port_is_taken():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = str(sock.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT,
            env={**os.environ, "GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
