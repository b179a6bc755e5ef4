"""The paper that a figure is drawn on: sizes, fonts, captions, and the file's bytes.

matplotlib's settings are those of the whole process, so one figure is made at a time.
"""

from __future__ import annotations

import logging
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from tokviz.errors import InputError
from tokviz.extras import how_to_install
from tokviz.names import unknown

WIDTHS: dict[str, float] = {"column": 3.3, "page": 6.9}
"""Width in inches of a column, and of a page of two columns."""
FORMATS: dict[str, str] = {
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "png": "image/png",
}
DPI = 450
"""Of a PNG, and of the pixels below vectors."""
TEXT, SMALL = 8.0, 7.0
"""Points: labels, and everything smaller."""
INK, SOFT, RULE = "#14181d", "#454d57", "#9aa3ad"
FALLBACKS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
    "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS", "Noto Sans",
)  # fmt: skip
"""Fonts that are looked for, the first for Latin, Greek and Cyrillic."""
CHINESE = ("Noto Sans CJK", "WenQuanYi", "Arial Unicode")
"""Beginnings of the names of those that have Chinese letters."""
LOCK = threading.Lock()
"""Held while a figure is made."""


@contextmanager
def drawing() -> Iterator[Any]:
    """Yield matplotlib with the settings of a figure for print, one thread at a time.

    Raises:
        InputError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError(f"figures need matplotlib: {how_to_install('plot')}.")
    matplotlib = import_module("matplotlib")
    with LOCK, matplotlib.rc_context(settings()):
        yield matplotlib


def settings() -> dict[str, Any]:
    """Return matplotlib's settings: embedded fonts, thin lines, small text."""
    return {
        "font.family": list(installed(FALLBACKS)),
        "font.size": TEXT,
        "axes.labelsize": TEXT,
        "axes.titlesize": TEXT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "axes.linewidth": 0.5,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.2,
        "axes.edgecolor": SOFT,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "text.parse_math": False,
        "axes.formatter.use_mathtext": False,
        "axes.unicode_minus": True,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "tokviz",
        "path.simplify": False,
    }


def installed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fonts of a list that this machine has; matplotlib brings the first."""
    manager = import_module("matplotlib.font_manager").fontManager
    there = {font.name for font in manager.ttflist}
    return tuple(name for name in names if name in there) or names[:1]


def has_chinese() -> bool:
    """Return whether this machine has a font with Chinese letters that figures look for."""
    if find_spec("matplotlib") is None:
        return False
    return any(font.startswith(CHINESE) for font in installed(FALLBACKS))


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of a size in inches, without pyplot, which is not for threads."""
    figure = import_module("matplotlib.figure").Figure(figsize=(width, height), dpi=DPI)
    figure.patch.set_facecolor("white")
    return figure


def width_of(name: str) -> float:
    """Return a width in inches by its name; raise InputError for an unknown one."""
    if name not in WIDTHS:
        raise InputError(unknown("width", name, WIDTHS))
    return WIDTHS[name]


def wrapped(text: str, width: float, size: float = SMALL) -> list[str]:
    """Return a text in lines that fit into a width in inches.

    A character is about half as wide as the text is high, in Chinese or Japanese as wide as high.
    """
    wide = sum(ord(letter) > 0x2E7F for letter in text) > len(text) / 3
    each = size / 72 * (1.02 if wide else 0.54)
    return textwrap.wrap(" ".join(text.split()), max(int(width / each), 8)) or []


def line_height(size: float = SMALL) -> float:
    """Return the height of a line of text in inches."""
    return size * 1.28 / 72


def saved(make: Callable[[], Any], kind: str) -> bytes:
    """Make a figure and return it as a file.

    Args:
        make: returns a matplotlib figure; it is called with the settings for print.
        kind: pdf, svg or png.

    Raises:
        InputError: an unknown kind of file, or matplotlib is not installed.
    """
    if kind not in FORMATS:
        raise InputError(unknown("kind of figure", kind, FORMATS))
    buffer = BytesIO()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
    with drawing(), quiet_fonts():
        make().savefig(buffer, format=kind, dpi=DPI, metadata=undated)
    return buffer.getvalue()


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Leave out matplotlib's warnings about letters that no font of this machine has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        log = logging.getLogger("matplotlib.font_manager")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before
