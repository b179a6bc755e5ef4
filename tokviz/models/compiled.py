"""Models that went through torch.compile: its graphs know nothing of hooks."""

from __future__ import annotations

from typing import Any

from torch import nn

from tokviz.errors import ModelError


def before_compiling(model: nn.Module) -> nn.Module:
    """Return the model under a compiled one, or the model itself.

    Raises:
        ModelError: a part of it was compiled, or it was compiled in place.
    """
    whole: Any = getattr(model, "_orig_mod", model)
    for name, module in whole.named_modules():
        if is_compiled(module):
            raise ModelError(
                f"{'its part ' + name if name else 'it'} was compiled with torch.compile, whose "
                "graphs tokviz cannot look into: load the model again and give it as it is before "
                "compiling."
            )
    return whole


def is_compiled(module: nn.Module) -> bool:
    """Return whether a module runs through torch.compile: wrapped, in place, or its forward."""
    forward = vars(module).get("forward")
    return (
        hasattr(module, "_orig_mod")
        or getattr(module, "_compiled_call_impl", None) is not None
        or hasattr(forward, "_torchdynamo_orig_callable")
    )
