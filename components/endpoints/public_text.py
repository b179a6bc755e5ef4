"""The sentence that a program gets when something cannot be used, without what the program sent.

Sentences of tokviz quote the wrong value, which helps a person who sees both. An agent reads the
sentence as text of the server, so a stranger's words must not stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokviz import ANALYSES, METHODS, MITIGATIONS

from ..error_text import error_text

SHORTEST_CUT = 16
"""Sentences quote a long value cut after so many characters at least."""
LEFT_OUT = "…"
QUOTED = r"""(?<=['"“]){0}(?=['"”])|(?<=got ){0}(?=[.,;:]|$)"""
"""Where a text is quoted: between quotation marks, or at the end of a clause after "got"."""


def public_text(error: Exception, *sent: Any) -> str:
    """Return the sentence of an error without the texts that were sent.

    Args:
        error: what went wrong; anything but a TokvizError is logged, see `error_text`.
        sent: the values of the request: texts, numbers, objects and lists of them.
    """
    return without(error_text(error), texts_in(sent))


def without(sentence: str, texts: Iterable[str]) -> str:
    """Return a sentence in which quoted texts, and those after "got", are an ellipsis.

    Names of methods and analyses stay: that they were sent says nothing that is not listed.
    """
    for text in sorted(set(texts) - known_names(), key=len, reverse=True):
        for form in dict.fromkeys((text, repr(text)[1:-1])):
            found = longest_quote(sentence, form)
            if found:
                sentence = re.sub(QUOTED.format(re.escape(found)), LEFT_OUT, sentence)
    return sentence


def known_names() -> set[str]:
    """Return names that anybody may read."""
    return {*METHODS, *ANALYSES, *MITIGATIONS}


def longest_quote(sentence: str, text: str) -> str:
    """Return the longest beginning of a text that a sentence holds; "" for none or a short cut."""
    if not text:
        return ""
    if text in sentence:
        return text
    low, high = 0, len(text)
    while low < high:  # what begins with less is in the sentence too: halve the range
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in sentence else (low, middle - 1)
    return text[:low] if low >= SHORTEST_CUT else ""


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a value, names and numbers included."""
    todo = [value]
    while todo:  # a loop, because a stranger decides how deep this is
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            todo.extend(item.keys())
            todo.extend(item.values())
        elif isinstance(item, (list, tuple)):
            todo.extend(item)
        elif item is not None and not isinstance(item, bool):
            yield str(item)
