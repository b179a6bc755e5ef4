"""Films are opened as from a stranger: the right frames, or one sentence."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tokviz
from tests.films import clock, number_of, write_animation, write_film
from tokviz.film import DEFAULT_FRAMES, Film, decode_video, open_film, opening

RATE = 10


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """name -> path of a film of forty frames in four seconds, in each allowed kind."""
    folder = tmp_path_factory.mktemp("films")
    frames = clock(40)
    names = {
        "a.mp4": "libx264",
        "a.webm": "libvpx-vp9",
        "b.webm": "libvpx",
    }
    made = {name: write_film(folder / name, frames, RATE, codec) for name, codec in names.items()}
    for name in ("a.gif", "a.webp"):
        made[name] = write_animation(folder / name, frames)
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames):
        frame.save(folder / "frames" / f"frame_{number}.png")
    return made | {"frames": folder / "frames"}


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "b.webm", "a.gif", "a.webp", "frames"])
def test_the_frames_are_spread_evenly_and_have_their_times(films, name):
    film = open_film(films[name], 5)
    assert film.numbers == (0, 10, 20, 29, 39)
    assert [number_of(frame) for frame in film.frames] == list(film.numbers)
    rate = opening.FOLDER_FPS if name == "frames" else RATE
    assert film.times == pytest.approx([number / rate for number in film.numbers])
    assert (film.total, film.size, film.steady) == (40, (96, 96), True)
    assert film.duration == pytest.approx(40 / rate)
    assert bool(film.notes) == (name == "frames")


def test_frames_are_chosen_by_rate_or_times_as_well(films):
    assert open_film(films["a.mp4"], rate=2).numbers == (0, 5, 10, 15, 20, 25, 30, 35)
    assert open_film(films["a.mp4"], times=[3.9, 0, 1.04]).numbers == (0, 10, 39)
    assert open_film(films["a.gif"], 1).numbers == (19,)
    assert len(open_film(films["a.webp"])) == DEFAULT_FRAMES
    assert open_film(films["a.webm"].read_bytes(), 2).numbers == (0, 39)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"frames": 0}, "frames must be 1 to 32, got 0"),
        ({"frames": 33}, "frames must be 1 to 32, got 33"),
        ({"frames": "many"}, "frames must be 1 to 32, got many"),
        ({"rate": 20}, "has 79 frames at 20 per second"),
        ({"rate": float("nan")}, "rate must be a number"),
        ({"times": [9]}, "ends at 4.0 s; there is no frame at 9 s"),
        ({"times": []}, "times must be 1 to 32 numbers"),
        ({"times": ["x"]}, "each of times must be a number"),
        ({"frames": 2, "rate": 1}, "one of frames, rate and times"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_in_a_sentence(films, asked, words):
    with pytest.raises(tokviz.InputError, match=words):
        open_film(films["a.mp4"], **asked)


def cut(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: len(data) // 2]


def longer(data: bytes) -> bytes:
    """An mp4 whose clock runs so slowly that it lasts for hours: time scales of 1 Hz."""
    changed = bytearray(data)
    for box in (b"mvhd", b"mdhd"):
        at = data.find(box) + 4 + 12
        changed[at : at + 4] = struct.pack(">I", 1)
    return bytes(changed)


def test_hostile_and_broken_films_are_refused_in_a_sentence(films, tmp_path):
    sound = write_film(tmp_path / "sound.mp4", [], sound=True)
    huge = write_film(tmp_path / "huge.mp4", [Image.new("RGB", (3840, 2400))], RATE)
    gif = bytearray(films["a.gif"].read_bytes())
    gif[6:10] = struct.pack("<HH", 65000, 65000)
    empty = b"\0\0\0\x20ftypisom\0\0\0\0isomiso2avc1mp41" + b"\0\0\0\x08mdat"
    for data, words in (
        (cut(films["a.mp4"]), "is damaged"),
        (cut(films["a.webm"]), "is cut off: it should have 4.0 s"),
        (cut(films["a.gif"]), "is damaged"),
        (longer(films["a.mp4"].read_bytes()), "minutes long; at most 20 minutes are allowed"),
        (sound.read_bytes(), "has no pictures, only sound"),
        (huge.read_bytes(), "9.2 megapixels; at most 9 are allowed"),
        (bytes(gif), "4225.0 megapixels"),
        (empty, "is damaged"),
        (b"", "is empty"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is not a film that can be read"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "is not a film that can be read"),
        (b"RIFF\0\0\0\0AVI LIST", "is not a film that can be read"),
    ):
        with pytest.raises(tokviz.InputError, match=words) as caught:
            open_film(data)
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)


def test_a_film_of_too_many_frames_or_with_no_frame_is_refused(films, monkeypatch):
    monkeypatch.setattr(opening, "MAX_PACKETS", 30)
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(tokviz.InputError, match="has over 30 frames"):
            open_film(films[name])
    monkeypatch.setattr(opening, "MAX_SECONDS", 3)
    with pytest.raises(tokviz.InputError, match="minutes long"):
        open_film(films["a.webm"])


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_random_damage_ends_in_a_film_or_a_sentence(films, name):
    data, random = films[name].read_bytes(), np.random.default_rng(0)
    for _ in range(2):
        broken = bytearray(data)
        for at in random.integers(12, len(data), 40):
            broken[at] = random.integers(256)
        assert isinstance(opened_or_sentence(bytes(broken)), (Film, str))


def opened_or_sentence(data):
    """Return the film, or the sentence that refuses it; anything else that is raised fails."""
    try:
        return open_film(data, 2)
    except tokviz.InputError as error:
        return str(error)


def test_places_that_are_no_film_are_refused(films, tmp_path):
    for source, words in (
        (tmp_path / "none.mp4", "there is no film 'none.mp4'"),
        (tmp_path, "is a folder without pictures"),
        ("https://example.com/a.mp4", "addresses are not fetched"),
        (3, "a film must be a file, a folder or bytes, got int"),
    ):
        with pytest.raises(tokviz.InputError, match=words):
            open_film(source)
    (tmp_path / "1.png").write_bytes((films["frames"] / "frame_1.png").read_bytes())
    Image.new("RGB", (50, 40)).save(tmp_path / "2.png")
    with pytest.raises(tokviz.InputError, match="differ in size"):
        open_film(tmp_path)


def test_the_frames_of_a_folder_are_in_the_order_of_their_numbers(films):
    assert [number_of(f) for f in open_film(films["frames"], 32).frames][:4] == [0, 1, 3, 4]


def test_large_frames_are_halved_so_that_memory_is_bounded(tmp_path):
    path = write_film(tmp_path / "4k.mp4", [Image.new("RGB", (3840, 2160))] * 2, RATE)
    assert open_film(path).size == (1920, 1080)


def test_the_decoding_process_cannot_write_files_or_take_much_memory(tmp_path):
    """Its limits are set before any byte of the film is read."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(decode_video.__file__).parent)!r})\n"
        "import decode_video\n"
        "decode_video.confine({'memory': 2 ** 29, 'cpu_seconds': 5})\n"
        "try:\n    bytearray(2 ** 30)\nexcept MemoryError:\n    print('memory')\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"try:\n    f = open({str(tmp_path / 'x')!r}, 'w'); f.write('x'); f.flush()\n"
        "except OSError:\n    print('file')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == ["memory", "file"]


def test_a_process_that_is_killed_is_said_in_a_sentence(films, monkeypatch):
    monkeypatch.setattr(opening, "WALL_SECONDS", 0.01)
    with pytest.raises(tokviz.InputError, match="could not be decoded within"):
        open_film(films["a.mp4"])


def test_a_film_without_pyav_names_the_package(films, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(tokviz.InputError, match=r"pip install '\.\[film\]'"):
        open_film(films["a.mp4"])
    assert len(open_film(films["a.gif"], 2)) == 2


def test_a_still_picture_is_no_film_unless_somebody_says_so(films):
    assert [name for name in films if opening.is_film(films[name])] == ["a.mp4", "a.webm", "b.webm"]
    assert not opening.is_film(Image.new("RGB", (4, 4)))
    assert not opening.is_film(str(films["frames"]))
