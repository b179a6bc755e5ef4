"""Film as input of a model: a few frames with their times, read from a file of a stranger."""

from tokviz.film.choice import DEFAULT_FRAMES, MAX_FRAMES
from tokviz.film.film import Film
from tokviz.film.opening import is_film, open_film

__all__ = ["DEFAULT_FRAMES", "MAX_FRAMES", "Film", "is_film", "open_film"]
