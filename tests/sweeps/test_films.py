"""Films and several pictures in a sweep: what is shown, and what its report says of it."""

import pytest
from PIL import Image

from tests.films import clock, write_animation, write_film
from tokviz.sweeps.question import Question
from tokviz.sweeps.running import sweep
from tokviz.sweeps.summary import command
from tokviz.trace import open_trace

pytestmark = pytest.mark.slow


def test_a_folder_of_clips_is_swept_with_so_many_frames_of_each(tmp_path, folder):
    home = tmp_path / "clips"
    home.mkdir()
    for name, start in (("a.mp4", 0), ("b.webm", 5)):
        codec = "libx264" if name.endswith("mp4") else "libvpx"
        write_film(home / name, clock(20)[start:], codec=codec)
    asked = {"prompts": "what happens?", "methods": "uniform", "budgets": "50%"}
    asked |= {"models": str(folder), "max_new_tokens": 2, "out": tmp_path / "out"}
    asked["baselines"] = False
    done = sweep(home, frames=3, **asked)
    full = [row for row in done.rows if not row["method"]]
    assert [row["image"][-6:] for row in full] == ["/a.mp4", "b.webm"]
    assert {row["visual_tokens"] for row in full} == {3 * 36}
    assert not done.failed
    again = sweep(home, frames=2, **asked)
    assert (again.measured, len(again.rows)) == (4, 4)


def test_an_animation_is_a_film_where_frames_are_chosen(tmp_path, folder, loaded):
    """By rate and by times as well; the report's command chooses the same frames."""
    home = tmp_path / "clips"
    home.mkdir()
    write_animation(home / "a.gif", clock(20))
    Image.new("RGB", (48, 48)).save(home / "b.gif")
    asked = {"prompts": "what happens?", "models": str(folder), "max_new_tokens": 2}
    for number, (how, frames, flag) in enumerate(
        (({"rate": 1}, 2, "--rate=1"), ({"times": [0, 0.5, 1]}, 3, "--times=0,0.5,1"), ({}, 1, ""))
    ):
        done = sweep(home, out=tmp_path / str(number), **asked, **how)
        assert [row["visual_tokens"] for row in done.rows] == [36 * frames, 36]
        film, still = map(command, done.rows)
        assert (flag in film, "--rate" in still or "--times" in still) == (True, False)


def test_stored_runs_show_what_their_rows_were_about(tmp_path, folder, loaded, pictures):
    """All pictures of a question, and the frames of a film that the sweep chose."""
    film = write_film(tmp_path / "a.mp4", clock(20))
    both = tuple(str(pictures / f"{i}.png") for i in range(2))
    questions = [Question(both, "which?"), Question((str(film),), "what?", times=(0.0, 0.5))]
    asked = {"models": str(folder), "max_new_tokens": 4, "out": tmp_path / "out"}
    done = sweep(questions, methods="random", budgets=[1], traces=2, **asked)
    stored = sorted((tmp_path / "out/traces").glob("*.safetensors"))
    runs = [open_trace(path) for path in stored if "--" not in path.name]
    assert sorted(run.n for run in runs) == [72, 72]
    assert {tile.time for run in runs if run.layout.is_film for tile in run.layout.tiles} == {
        (0.0, 0.0),
        (0.5, 0.5),
    }
    words = " ".join(map(command, done.rows))
    assert " ".join(both) in words
    assert "--times=0,0.5" in words
