"""CHAIR of the embedded model: its words are found, and counts add up."""

import pytest

from benchmarks.hallucination import OBJECTS, added
from tokviz.evaluation import chair

pytestmark = pytest.mark.slow

TEXTS = ["a dog in the top left, two mice in the center.", "a cat, strawberries and a cat."]
THERE = [{"dog"}, {"cat", "moon"}]


def test_things_are_found_in_singular_and_plural():
    assert OBJECTS.mentions(TEXTS[0]) == ["dog", "mouse"]
    assert OBJECTS.mentions(TEXTS[1]) == ["cat", "strawberry", "cat"]


def test_single_descriptions_add_up_to_all():
    each = [chair([text], [there], OBJECTS) for text, there in zip(TEXTS, THERE, strict=True)]
    assert added(each) == chair(TEXTS, THERE, OBJECTS)
    assert added(each).chair_s == 1
