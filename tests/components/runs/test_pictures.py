"""Visitors' pictures: few are opened at the same time, and their memory is given back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from components.runs import pictures
from components.runs.pictures import Pictures, give_back_memory

RESET = Path("/proc/self/clear_refs")


def test_few_are_opened_at_the_same_time(monkeypatch):
    """Eight come, two are opened; the others wait until one is done."""
    opening, most, go = [], [], threading.Event()

    def opened(source, pixels):
        opening.append(source)
        most.append(len(opening))
        assert go.wait(60)
        opening.pop()
        return Image.new("RGB", (2, 2))

    monkeypatch.setattr(pictures, "open_image", opened)
    with ThreadPoolExecutor(8) as threads:
        shared = Pictures(at_once=2)
        found = [threads.submit(shared.open, number) for number in range(8)]
        while len(most) < 2:
            pass
        go.set()
        assert all(one.result(60).size == (2, 2) for one in found)
    assert len(most) == 8
    assert max(most) <= 2


def memory(field):
    """Return a number of MB that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


@pytest.mark.skipif(not RESET.exists(), reason="needs Linux")
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_40_megapixels_take_little_and_are_given_back(format_, tmp_path):
    """It took 0.63 GB, and 0.45 GB were never given back."""
    path = tmp_path / "large"
    mode, colour = {"PNG": ("RGBA", (9, 9, 9, 128)), "JPEG": ("RGB", (9, 9, 9))}[format_]
    options = {"compress_level": 1} if format_ == "PNG" else {}
    Image.new(mode, (8000, 5000), colour).save(path, format_, **options)
    give_back_memory()
    before = memory("VmRSS")
    RESET.write_text("5")  # the highest memory so far counts from here
    picture = Pictures().open(path)
    assert picture.size == (4000, 2500)
    assert memory("VmHWM") - before < 280
    assert memory("VmRSS") - before < 80
