"""How do people type the same question? With and without capitals, marks and spaces."""

import random

CAPITAL, SMALL, SHOUTED = 0.6, 0.37, 0.03
"""Shares of texts that start with a capital, have none, or have only capitals."""


def tidy(text: str) -> str:
    """Close up the marks that the word-level corpus sets apart: "a dog ?" to "a dog?"."""
    for mark in "?.,!":
        text = text.replace(f" {mark}", mark)
    return text


def typed(text: str) -> str:
    """Type a question as most visitors do: "is there a dog ?" becomes "Is there a dog?"."""
    return tidy(text).capitalize()


def reword(text: str, rng: random.Random) -> str:
    """Type a question in one of the ways people do.

    Args:
        text: lower case, marks set apart.
        rng: draws the way.
    """
    text = tidy(text) if rng.random() < 0.9 else text
    if rng.random() < 0.12:
        text = text.rstrip(" ?.")
    way = rng.choices((str.capitalize, str, str.upper), (CAPITAL, SMALL, SHOUTED))[0]
    return way(text)
