"""Forgets the decorator."""


def nothing(signals, keep: int):
    """Do nothing."""
