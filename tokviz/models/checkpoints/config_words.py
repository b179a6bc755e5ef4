"""Which entry of a config.json did transformers stop at?

A word there that it does not know (an activation, a number type, a kind of layer) ends as a
KeyError or AttributeError of some line far away, whose text is the word alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from tokviz.errors import ModelError

DTYPES = ("dtype", "torch_dtype")


def entries(config: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """Return (dotted name, value) of every entry of a config and of those within it."""
    for key, value in config.items():
        name = f"{inside}{key}"
        yield name, value
        if isinstance(value, dict):
            yield from entries(value, f"{name}.")


def check_dtypes(config: Mapping[str, Any]) -> None:
    """Raise ModelError for a number type that torch does not have."""
    for name, value in entries(config):
        known = value is None or isinstance(getattr(torch, str(value), None), torch.dtype)
        if name.rpartition(".")[2] in DTYPES and not known:
            raise ModelError(
                f"config.json has {name[:60]} = {repr(value)[:40]}, which is no number type: write "
                "float32, float16 or bfloat16, as in the checkpoint's files."
            )


def unknown_word(error: BaseException, config: Mapping[str, Any]) -> str | None:
    """Return the sentence about a word of the config that an error names, None for no such one."""
    if not isinstance(error, (KeyError, AttributeError)):
        return None
    for name, value in entries(config):
        if isinstance(value, str) and value and str(error).endswith(repr(value)):
            return (
                f"config.json has {name[:60]} = {value[:40]!r}, which transformers does not know. "
                "Correct it, or fetch the file again."
            )
    return None
