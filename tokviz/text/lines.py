"""Lines of a text file: they end at a line feed, and nowhere else.

str.splitlines also ends them at U+2028, U+2029, U+0085, form feeds and more, which JSON leaves as
they are inside a text: an answer that holds one would be torn in two.
"""

from __future__ import annotations


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text, "\n" and "\r\n" being their ends; the last may be unfinished."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
