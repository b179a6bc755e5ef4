"""Sliding windows that mean what they meant before tokens were removed.

A layer with a window lets a token look back over so many positions (Gemma 2 and 3, Mistral). The
library counts those positions in what it is given; with tokens taken out, the same window would
reach further back than in the full prompt, and removal would no longer equal masking. Here the
window keeps counting in the full prompt: its mask is the library's own for the full prompt, with
the rows that are left; while the answer is written, keys that have slid out of the window are
hidden. Where positions are renumbered on purpose, windows count what is there, as in a new prompt.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tokviz.models.families.parts import attention_of, cache_of

Mask = torch.Tensor | None
Kwargs = dict[str, Any]
Build = Callable[[torch.Tensor], Mask]


def sliding_layers(decoder: nn.Module) -> dict[int, int]:
    """Return decoder layer -> window, in tokens, of the layers that have one."""
    layers: Any = decoder.layers
    windows = {
        i: getattr(attention_of(block), "sliding_window", None) for i, block in enumerate(layers)
    }
    return {layer: window for layer, window in windows.items() if window}


class Windows:
    """The windows of one prompt of which some rows may be missing."""

    def __init__(self, decoder: nn.Module, rows: torch.Tensor, total: int, build: Build) -> None:
        """Describe the sequence that enters layer 0.

        Args:
            decoder: the text decoder.
            rows: [rows] place in the full prompt of each row, ascending.
            total: rows of the full prompt.
            build: from places in the full prompt to the library's mask of a sliding layer for a
                prompt of just those rows, bool [1, 1, rows, rows], None where it needs none.
        """
        self.layers = sliding_layers(decoder)
        self.rows, self.total, self.build = rows, total, build
        self.shortest = min(self.layers.values(), default=total)

    def before_prefill(self) -> dict[int, Callable[..., Any]]:
        """Return layer -> pre-hook, for the layers whose mask the library gets wrong."""
        if len(self.rows) == self.total or self.total <= self.shortest:
            return {}
        whole = self.build(torch.arange(self.total, device=self.rows.device))
        if whole is None:
            return {}
        # [1, 1, total, total] -> queries -> keys -> [1, 1, rows, rows]
        left = whole[:, :, self.rows][..., self.rows]

        def hook(module: nn.Module, args: Any, kwargs: Kwargs) -> tuple[Any, Kwargs]:
            return args, {**kwargs, "attention_mask": left}

        return dict.fromkeys(self.layers, hook)

    def packed(self, alive: torch.Tensor) -> Mask:
        """Return the mask of a sliding layer where the rows alive are renumbered.

        Args:
            alive: indices in the sequence that entered layer 0.
        """
        return self.build(self.rows[alive])

    def while_writing(
        self, layer: int, alive: torch.Tensor, packed: bool
    ) -> Callable[..., tuple[Any, Kwargs]]:
        """Return the pre-hook of a sliding layer for each decode step.

        Args:
            layer: the decoder layer.
            alive: indices in the sequence that entered layer 0, of the rows in this layer's cache.
            packed: positions were renumbered.
        """
        window, places = self.layers[layer], self.rows[alive].tolist()

        def hook(module: nn.Module, args: Any, kwargs: Kwargs) -> tuple[Any, Kwargs]:
            cache = cache_of(kwargs).layers[layer]
            # get_seq_length counts all keys ever given, keys.shape only those a sliding cache kept
            written = cache.get_seq_length() - len(places)
            out_of_sight = self.total + written - window
            mask, keys = None, cache.keys.shape[-2] + 1
            if not packed and out_of_sight >= 0:
                # keys up to `out_of_sight`: prompt rows that are there, then answer tokens
                gone = bisect_right(places, out_of_sight) + max(out_of_sight + 1 - self.total, 0)
                # keys that the sliding cache dropped itself; the rest of `gone` is hidden here
                trimmed = len(places) + written + 1 - keys
                if gone > trimmed:
                    mask = torch.ones(1, 1, 1, keys, dtype=torch.bool, device=alive.device)
                    mask[..., : gone - trimmed] = False
            return args, {**kwargs, "attention_mask": mask}

        return hook


def reading_mask(
    places: torch.Tensor, total: int, written: int, new: int, window: int
) -> torch.Tensor:
    """Return what new tokens see through a window that counts in the full prompt.

    Args:
        places: [b, rows] place in the full prompt of each row of it that is there.
        total: rows of the full prompt.
        written: tokens read after the prompt so far.
        new: tokens that are read now.
        window: in tokens.

    Returns:
        bool [b, 1, new, rows + written + new], True = may attend.
    """
    after = torch.arange(total, total + written + new, device=places.device)
    # [b, rows + written + new] -> [b, 1, 1, keys], against queries [new, 1] -> [b, 1, new, keys]
    keys = torch.cat([places, after.expand(len(places), -1)], 1)[:, None, None]
    queries = after[written:, None]
    return (keys <= queries) & (keys > queries - window)
