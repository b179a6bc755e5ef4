"""Attention whose softmax rows can be read or edited while the model runs at full speed.

One attention function is registered with transformers under the name "tokviz". It computes the
output with SDPA, bit for bit as the library's own function does. If an observer is set, it gets
each call as an `AttentionCall`: it may compute a few softmax rows, or replace them by edited rows;
all other rows stay those of SDPA. The full layers x heads x tokens x tokens tensor is never built.
An output that the observer returns replaces SDPA's output: this is how edges are cut and how
gradients of the softmax map are computed.

Traps that shaped this: registering the function without its mask builder silently drops every
mask; the observer sits in a ContextVar, which threads do not share and a generator's `yield` does
not keep, so it is opened and closed inside one call of the model; SDPA drops arguments that it
does not know without a word (learned sinks), so unknown ones are refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from tokviz.errors import ModelError
from tokviz.interruption import check_stop
from tokviz.models.attention_call import AttentionCall, explicit_attention

NAME = "tokviz"
IGNORED = {
    "dropout",  # off: tokviz computes in evaluation mode
    "sliding_window",  # in the mask already
    "position_ids", "cache_position", "token_type_ids", "mm_token_type_ids",
    "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k",  # of flash attention
}  # fmt: skip
"""Arguments that models hand to every attention function and that change nothing here."""

Observer = Callable[[AttentionCall], torch.Tensor | None]
PlainCall = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], bool]
"""Sees module, query and key of a call without mask, cap or sinks; True = that is all it needs."""
_observer: ContextVar[tuple[Observer | None, PlainCall | None]] = ContextVar(
    "tokviz_attention_observer", default=(None, None)
)


def attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention with SDPA; show the call to the open observer first, who may change it.

    Raises:
        ModelError: the model gives an argument that would be left out.
        Interrupted: the run was stopped.
    """
    check_stop()
    check_arguments(kwargs)
    observer, plain = _observer.get()
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal

    def by_sdpa() -> torch.Tensor:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal,
            **kwargs,
        )  # fmt: skip
        return output

    if softcap is None and s_aux is None:
        seen = plain is not None and attention_mask is None and plain(module, query, key)
        if seen or observer is None:
            return by_sdpa(), None
    call = AttentionCall(module, query, key, value, attention_mask, scaling, causal, softcap, s_aux)

    def unedited() -> torch.Tensor:
        return by_sdpa() if call.plain else explicit_attention(call)

    replaced = observer(call) if observer is not None else None
    if replaced is None:
        replaced = call.edited(unedited) if call.edits else unedited()
    return replaced, None


def check_arguments(given: Mapping[str, Any]) -> None:
    """Raise ModelError for an attention argument that neither SDPA nor this module uses.

    Flags and counts are what callers pass through all layers; numbers and tensors change the result
    (a bias of positions, indices of chosen keys) unless IGNORED says that they don't.
    """
    for name, value in given.items():
        if name not in IGNORED and isinstance(value, (torch.Tensor, float)):
            raise ModelError(
                f"this model's attention takes {name!r}, which tokviz does not know: its answers "
                "would be wrong, so it is not run. Choose another model."
            )


@contextmanager
def observed(observer: Observer | None, plain: PlainCall | None = None) -> Iterator[None]:
    """Pass every attention call of this thread to `observer` within this context.

    Args:
        observer: gets each call, and may return another output.
        plain: is asked first about calls without mask, cap or sinks. An `AttentionCall` of each
            layer takes as long as a small model's attention itself.
    """
    token = _observer.set((observer, plain))
    try:
        yield
    finally:
        _observer.reset(token)


def register_attention() -> None:
    """Make our attention known to transformers; `ModelState` switches a model to it."""
    AttentionInterface.register(NAME, attention_forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def computed_by(function: Callable[..., Any]) -> Iterator[None]:
    """Let another function be the attention of every model, for proofs on models made for them."""
    AttentionInterface.register(NAME, function)
    try:
        yield
    finally:
        AttentionInterface.register(NAME, attention_forward)
