"""Which attention a checkpoint is loaded with: tokviz computes its own, whatever the file asks for.

A config.json that names FlashAttention, or a kernel from the Hub, ends loading where that package
is not installed, although nothing of it would be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transformers import PretrainedConfig

PLAIN = ("sdpa", "eager")
"""Implementations that are part of torch and transformers."""


def foreign_attention(config: PretrainedConfig) -> str | None:
    """Return the attention that a configuration or a part of it asks for, if it is none of PLAIN.

    Args:
        config: as read from the checkpoint; the parts' own entries count, too.
    """
    asked = (getattr(one, "_attn_implementation_internal", None) for one in _with_parts(config))
    return next((str(one) for one in asked if one is not None and one not in PLAIN), None)


def _with_parts(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    yield config
    for name in config.sub_configs:
        part = getattr(config, name, None)
        if isinstance(part, PretrainedConfig):
            yield from _with_parts(part)


def attention_note(asked: str) -> str:
    """Return the sentence about attention that was not loaded as the checkpoint asks."""
    return (
        f"config.json asks for the attention {asked[:60]!r}. tokviz computes attention with "
        "PyTorch's own function instead: the same up to rounding."
    )


def plain_attention(build: Any, folder: str, config: PretrainedConfig, **named: Any) -> Any:
    """Build a model with the first of PLAIN that it takes.

    Args:
        build: `from_pretrained`.
        folder: of the checkpoint.
        config: its configuration; changed, because an entry in it wins over the argument.
        **named: further arguments of `build`.
    """

    def built(attention: str) -> Any:
        for part in _with_parts(config):
            part._attn_implementation_internal = attention
        return build(folder, config=config, attn_implementation=attention, **named)

    *first, last = PLAIN
    for one in first:
        try:
            return built(one)
        except ValueError as error:  # transformers: "... does not support an attention ..."
            if "attention" not in str(error):
                raise
    return built(last)
