"""Exact match after normalising: is the answer the reference, but for case and punctuation?"""

from __future__ import annotations

import re
from collections.abc import Sequence

ARTICLES = {"a", "an", "the"}
WORD = re.compile(r"(?<!\w)-?\d+(?:[.,:]\d+)*(?!\w)|[^\W_]+")
"""A number with its sign and inner points ("3.5" is not "35"), or a run of letters and digits."""


def normalise(text: str) -> str:
    """Return an answer in lower case, without punctuation, articles and extra spaces."""
    words = WORD.findall(text.lower())
    return " ".join([word for word in words if word not in ARTICLES] or words)


def exact_match(answer: str, references: str | Sequence[str]) -> bool:
    """Tell whether a normalised answer equals one of the normalised references."""
    known = [references] if isinstance(references, str) else references
    return normalise(answer) in {normalise(reference) for reference in known}
