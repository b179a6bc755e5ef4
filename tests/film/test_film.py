import pytest
from PIL import Image

from tokviz.film import Film


def film(times):
    """Frames 0, 10, 20 and 30 of forty frames in four seconds."""
    frames = tuple(Image.new("RGB", (8, 8)) for _ in times)
    return Film(frames, tuple(times), (0, 10, 20, 30), 40, 4.0)


@pytest.mark.parametrize(
    ("times", "steady"),
    [
        ((0.0, 1.0, 2.0, 3.0), True),
        ((0.0, 1.04, 2.0, 2.96), True),
        ((0.0, 1.06, 2.0, 3.0), False),
        ((0.0, 0.5, 1.0, 3.0), False),
    ],
    ids=["even", "within the 20th of a second", "just beyond", "slow at first"],
)
def test_a_film_is_steady_where_numbers_say_the_times(times, steady):
    assert film(times).steady is steady
