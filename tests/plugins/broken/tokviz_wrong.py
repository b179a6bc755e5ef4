"""Registers a bare function."""

from tokviz.reduction.method import METHODS


def wrong(signals, keep: int):
    """Do nothing."""


METHODS.add("wrong", wrong)
