"""A pointer of git-lfs: the few lines of text that stand in a clone where the file should be."""

from __future__ import annotations

HEAD = b"version https://git-lfs"
"""How a pointer begins."""


def is_pointer(data: bytes) -> bool:
    """Return whether the bytes of a file, or its first ones, are a pointer."""
    return data.startswith(HEAD)


def pointer_text(name: str = "it") -> str:
    """Say that a file is a pointer, and what to do; without a full stop."""
    return (
        f"{name[:80]} is a pointer of git-lfs and not the file: run `git lfs pull` in its folder, "
        "or fetch it from where it came"
    )
