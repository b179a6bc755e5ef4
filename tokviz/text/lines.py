"""Lines of a text file: they end only at a line feed.

str.splitlines also splits at U+2028, U+2029, U+0085, form feeds and more. JSON texts may contain
these, so an answer with one of them would be split in two.
"""

from __future__ import annotations


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text, which end at "\n" or "\r\n"; the last may be incomplete."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
