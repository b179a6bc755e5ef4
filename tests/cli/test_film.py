"""Films on the command line."""

import json

import pytest

from tests.films import clock, write_animation, write_film
from tests.models.tiny import TINY, save
from tokviz.cli.main import main
from tokviz.trace import open_trace


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """The checkpoint of a tiny Qwen2.5-VL."""
    return str(save(TINY["qwen2_5_vl"], tmp_path_factory.mktemp("qwen")))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A film of forty frames in four seconds as mp4, and as GIF."""
    folder = tmp_path_factory.mktemp("clips")
    film = write_film(folder / "clip.mp4", clock(40))
    return film, write_animation(folder / "clip.gif", clock(40))


def test_answer_takes_a_film_and_the_trace_has_its_times(qwen, clips, tmp_path, capsys):
    file = str(tmp_path / "run.safetensors")
    command = ["answer", str(clips[0]), "--prompt", "what?", "--model", qwen, "--json"]
    assert main([*command, "--max-new-tokens", "2", "--rate", "1", "--trace", file]) == 0
    assert json.loads(capsys.readouterr().out)["visual_tokens"]["total"] == 2 * 36
    tiles = open_trace(file).layout.tiles
    assert [tile.time for tile in tiles] == [(0.0, 1.0), (2.0, 3.0)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--frames", "33"], "frames must be 1 to 32"),
        (["--times", "1,9"], "there is no frame at 9 s"),
        (["--rate", "x"], "rate must be a number"),
    ],
)
def test_frames_that_cannot_be_chosen_are_refused_in_a_sentence(clips, flags, words, capsys):
    assert main(["answer", str(clips[1]), "--prompt", "what?", *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_film_beside_a_picture_is_refused(clips, capsys):
    assert main(["answer", *map(str, clips), "--prompt", "what?"]) == 2
    assert "a film must come alone, got 2 files" in capsys.readouterr().err


def test_an_examination_is_of_the_chosen_frames(qwen, clips, capsys):
    """They once took a film's eight frames only."""
    asked = [str(clips[0]), "--prompt", "what?", "--model", qwen, "--max-new-tokens", "2", "--json"]
    searched = ["search", *asked, "--for", "keep", "--method", "dycoke", "--frames", "4"]
    assert main(searched) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 2 * 36
    assert main(["check", *asked, "--analysis", "attention", "--times", "0,1,2,3.5"]) == 0
    assert json.loads(capsys.readouterr().out)["orders"]
