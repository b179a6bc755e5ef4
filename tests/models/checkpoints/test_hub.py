"""Downloads from a stand-in of the Hub: resumed, stopped, refused, and looked at beforehand."""

import errno
import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

import tokviz
from tests.hub import BLOCK, COMMIT, served_hub
from tokviz.errors import ModelError, Stopped
from tokviz.models.checkpoints import before_download, loading, resume
from tokviz.models.checkpoints.download import is_here, local_copy
from tokviz.models.checkpoints.fit import RUNS, TIGHT, TOO_LARGE, fit, needed_bytes
from tokviz.models.checkpoints.loading import EMBEDDED
from tokviz.models.checkpoints.placement import Placement, choose_placement
from tokviz.models.checkpoints.resume import fetch_large

pytestmark = pytest.mark.slow

NAME = "someone/small-llava"
WAIT_S = 120
"""Seconds until a stand-in that waits gives up."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The embedded model's files, offered by a Hub on this machine to an empty cache."""
    with served_hub({NAME: EMBEDDED}) as hub:
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def fetched(hub) -> list[str]:
    """The weights that were really sent for."""
    return [path for verb, path, _ in hub.asked if verb == "GET" and ".safetensors" in path]


def is_begun(path, sent) -> bool:
    """Some of a file of weights was sent."""
    return path.endswith(".safetensors") and sent > BLOCK


def test_a_model_is_downloaded_once_and_then_found_on_this_machine(hub):
    lines = []
    assert not is_here(NAME)
    assert tokviz.load(NAME, progress=lines.append).info["name"] == NAME
    whole = sum(file.stat().st_size for file in EMBEDDED.glob("*.safetensors")) // 10**6
    assert any("fetching: " in line and f" of {whole}." in line for line in lines)
    assert is_here(NAME)
    hub.asked.clear()
    tokviz.load(NAME, progress=lines.append)
    assert not fetched(hub)


def test_a_stopped_download_ends_and_the_next_one_goes_on_where_it_was(hub):
    hub.block_pause_s = 0.02
    stop = threading.Event()
    hub.on_block = lambda path, sent: stop.set() if is_begun(path, sent) else None
    with pytest.raises(Stopped, match="the next try goes on from there"):
        tokviz.load(NAME, stop=stop)
    assert not is_here(NAME)
    hub.block_pause_s = 0
    hub.asked.clear()
    tokviz.load(NAME)
    assert any(wanted.startswith("bytes=") for wanted in hub.ranges(".safetensors"))


def test_a_stop_acts_on_a_slow_line_before_the_next_megabytes_have_come(hub):
    """On a line of 200 KB/s a stop acted after 48 s, at the next 10 MB."""
    stop, ended = threading.Event(), threading.Event()

    def then_nothing_comes(path, sent) -> None:
        if is_begun(path, sent):
            ended.wait(WAIT_S)
        elif path.endswith(".safetensors"):
            stop.set()

    hub.on_block = then_nothing_comes
    with pytest.raises(Stopped):
        tokviz.load(NAME, stop=stop)
    ended.set()
    assert len(hub.ranges(".safetensors")) == 1


def test_a_set_stop_ends_the_loading_of_weights_that_are_here(hub):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        tokviz.load("embedded", stop=stop)


def test_a_connection_that_breaks_off_goes_on_from_there(hub):
    hub.break_after = 3 << 20
    tokviz.load(NAME)
    assert sum(wanted.startswith("bytes=") for wanted in hub.ranges(".safetensors")) >= 2


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", ".safetensors"])
def test_a_file_that_ends_too_early_is_a_download_that_broke_off(hub, name):
    hub.ends_early = name
    with pytest.raises(ModelError, match="the connection broke off.*the download goes on"):
        tokviz.load(NAME)
    hub.ends_early = ""
    assert tokviz.load(NAME).info["name"] == NAME


def test_a_disk_that_fills_meanwhile_is_told_as_that(hub, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume, "http_stream_backoff", full)
    with pytest.raises(ModelError, match="the disk is full: free some, or set HF_HOME.*kept"):
        tokviz.load(NAME)


def test_a_cache_that_cannot_be_written_is_no_damaged_file(hub, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError) as caught:
        tokviz.load(NAME)
    assert "damaged" not in str(caught.value)
    assert "cannot be read or written" in str(caught.value)


def stop_within_a_file() -> None:
    """Leave one block of a large file on the disk, as a stopped download does."""

    class TwoBlocks:
        """The first block, and the second, which is not written any more."""

        left = 2

        def update(self, n: float) -> None:
            self.left -= n > 0
            if not self.left:
                raise Stopped("stopped.")

    large = sorted(one.name for one in EMBEDDED.glob("*.safetensors"))
    with pytest.raises(Stopped):
        fetch_large(NAME, COMMIT, large, TwoBlocks())


def same_as_embedded(folder) -> bool:
    files = list(EMBEDDED.glob("*.safetensors"))
    return all((Path(folder) / one.name).read_bytes() == one.read_bytes() for one in files)


def test_a_server_that_refuses_to_go_on_is_asked_for_the_whole_file(hub):
    stop_within_a_file()
    hub.instead = lambda path, wanted: (416, b"") if wanted else None
    assert same_as_embedded(local_copy(NAME, None, lambda line: None))
    assert any(wanted.startswith("bytes=") for wanted in hub.ranges(".safetensors"))


@pytest.mark.parametrize("begun", [False, True])
def test_a_page_of_a_proxy_does_not_become_part_of_a_file(hub, begun):
    if begun:
        stop_within_a_file()
    hub.instead = lambda path, wanted: (
        (200, b"<html>sign in") if path.endswith(".safetensors") else None
    )
    with pytest.raises(ModelError, match="no file of a model: .* sign in to this network"):
        local_copy(NAME, None, lambda line: None)
    hub.instead = lambda path, wanted: None
    assert same_as_embedded(local_copy(NAME, None, lambda line: None))


def test_a_file_that_came_incomplete_is_kept_and_goes_on(hub):
    whole = {one.name: one.read_bytes() for one in EMBEDDED.glob("*.safetensors")}
    hub.instead = lambda path, wanted: (
        (200, whole[name][:70000]) if (name := path.rpartition("/")[2]) in whole else None
    )
    with pytest.raises(ModelError, match="broke off. The files so far are kept: try again"):
        local_copy(NAME, None, lambda line: None)
    hub.instead = lambda path, wanted: None
    assert same_as_embedded(local_copy(NAME, None, lambda line: None))
    assert "bytes=70000-" in hub.ranges(".safetensors")


@pytest.mark.parametrize(
    ("refusal", "asked", "sentence"),
    [
        (
            (401, "RepoNotFound"),
            {},
            "no such model, or it is private: .*`hf auth login` or set HF_T",
        ),
        (
            (403, "GatedRepo"),
            {},
            "licence must be accepted first: .*`hf auth login` or set HF_TOKEN",
        ),
        ((404, "RepoNotFound"), {}, "the Hub has no such model"),
        (None, {"revision": "nope"}, "has this model, but not its revision 'nope'"),
    ],
    ids=["private", "gated", "unknown", "revision"],
)
def test_what_the_hub_refuses_is_a_sentence_and_fetches_nothing(hub, refusal, asked, sentence):
    if refusal:
        hub.refusals[NAME] = refusal
    with pytest.raises(ModelError, match=sentence):
        tokviz.load(NAME, **asked)
    assert not fetched(hub)


def test_a_hub_that_is_down_is_told_by_its_status(hub, monkeypatch):
    hub.refusals[NAME] = (410, "")
    with pytest.raises(ModelError, match="an error of its own .status 410.*no copy"):
        tokviz.load(NAME)


def changed_config(tmp_path, **changes):
    """The embedded model with another config."""
    folder = shutil.copytree(EMBEDDED, tmp_path / "changed")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_an_unsupported_type_is_refused_before_its_weights_are_fetched(hub, tmp_path):
    hub.models[NAME] = changed_config(tmp_path, model_type="unheard_of")
    with pytest.raises(ModelError, match="models of type 'unheard_of' are not supported"):
        tokviz.load(NAME)
    assert not fetched(hub)


def test_too_little_memory_is_told_before_the_weights_are_fetched(hub, monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1e6)
    with pytest.raises(ModelError, match="not enough memory for 0.0 GB of weights on cpu"):
        tokviz.load(NAME, device="cpu")
    assert not fetched(hub)


def test_a_full_disk_is_told_before_the_weights_are_fetched(hub, monkeypatch):
    small = shutil._ntuple_diskusage(10**12, 10**12, 10**6)
    monkeypatch.setattr(before_download.shutil, "disk_usage", lambda place: small)
    with pytest.raises(ModelError, match="0.0 GB have to be .* or set HF_HOME"):
        tokviz.load(NAME)
    assert not fetched(hub)


def test_a_model_without_safetensors_is_refused_before_anything_large_is_fetched(hub, tmp_path):
    folder = changed_config(tmp_path)
    for file in folder.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    hub.models[NAME] = folder
    with pytest.raises(ModelError, match="there are no .safetensors files"):
        tokviz.load(NAME)
    assert not any(".bin" in path for _, path, _ in hub.asked)


def test_without_network_the_copy_on_this_machine_is_used(hub, monkeypatch):
    tokviz.load(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tokviz.load(NAME).info["name"] == NAME


def test_the_words_on_memory_follow_the_number_type():
    card = tokviz.MODELS["HuggingFaceTB/SmolVLM-256M-Instruct"]
    assert needed_bytes(card, choose_placement("cpu")) == pytest.approx(1.04e9)
    assert needed_bytes(card, choose_placement("cpu", "bfloat16")) == pytest.approx(0.52e9)
    four = Placement("cuda", torch.float16, "as asked", bits=4)  # 0.52 GB in 16 bits
    assert needed_bytes(card, four) == pytest.approx(0.13e9)
    assert [fit(4e9, free) for free in (5.0e9, 4.5e9, 3.9e9, None)] == [RUNS, TIGHT, TOO_LARGE, ""]
