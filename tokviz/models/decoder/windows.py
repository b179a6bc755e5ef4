"""Sliding windows that count positions of the full prompt, also after tokens were removed.

In a layer with a window (Gemma 2 and 3, Mistral) a token attends to a fixed number of positions
back. The library counts rows of its input; after a removal the same window would reach further back
than in the full prompt, and removing tokens would no longer equal masking them. So here the mask of
a prefill is the library's mask for the full prompt, sliced to the rows that are left, and in decode
steps the keys outside the window are hidden. If positions are renumbered (repack), windows count
the rows that are left, as in a new prompt.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from tokviz.models.families.parts import cache_of

Mask = torch.Tensor | None
Kwargs = dict[str, Any]
Build = Callable[[torch.Tensor], Mask]


def sliding_layers(decoder: nn.Module) -> dict[int, int]:
    """Return decoder layer -> window in tokens, for the layers that have one.

    The library's cache says it. The attention modules do not: Mistral, Phi-3 and Starcoder2 read
    the window from the config, and EXAONE 4 names one in layers without a window, too.
    """
    made: Any = DynamicCache(config=decoder.config)  # type: ignore[arg-type]
    return {i: made.layers[i].sliding_window for i, slides in enumerate(made.is_sliding) if slides}


class Windows:
    """The sliding windows of one prompt from which rows may have been removed."""

    def __init__(self, decoder: nn.Module, rows: torch.Tensor, total: int, build: Build) -> None:
        """Describe the sequence that enters layer 0.

        Args:
            decoder: the text decoder.
            rows: [rows] place in the full prompt of each row, ascending.
            total: rows of the full prompt.
            build: from places in the full prompt to the library's mask of a sliding layer for a
                prompt of only those rows, bool [1, 1, rows, rows]; None if no mask is needed.
        """
        self.layers = sliding_layers(decoder)
        self.rows, self.total, self.build = rows, total, build
        self.shortest = min(self.layers.values(), default=total)

    def before_prefill(self) -> dict[int, Callable[..., Any]]:
        """Return layer -> pre-hook, for the layers whose mask must be replaced."""
        if len(self.rows) == self.total or self.total <= self.shortest:
            return {}
        whole = self.build(torch.arange(self.total, device=self.rows.device))
        if whole is None:
            return {}
        # slice queries, then keys: [1, 1, total, total] -> [1, 1, rows, rows]
        left = whole[:, :, self.rows][..., self.rows]

        def hook(module: nn.Module, args: Any, kwargs: Kwargs) -> tuple[Any, Kwargs]:
            return args, {**kwargs, "attention_mask": left}

        return dict.fromkeys(self.layers, hook)

    def packed(self, alive: torch.Tensor) -> Mask:
        """Return the mask of a sliding layer in which the rows alive are renumbered.

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
            # the new token has place total + written; keys up to this place are outside the window
            last_outside = self.total + written - window
            mask, keys = None, cache.keys.shape[-2] + 1
            if not packed and last_outside >= 0:
                # how many keys that is: rows of the prompt, then tokens of the answer
                outside = bisect_right(places, last_outside) + max(last_outside + 1 - self.total, 0)
                # the sliding cache has dropped some of them itself; the mask hides the others
                dropped = len(places) + written + 1 - keys
                if outside > dropped:
                    mask = torch.ones(1, 1, 1, keys, dtype=torch.bool, device=alive.device)
                    mask[..., : outside - dropped] = False
            return args, {**kwargs, "attention_mask": mask}

        return hook


def reading_mask(
    places: torch.Tensor, total: int, written: int, new: int, window: int
) -> torch.Tensor:
    """Return the mask of new tokens for a window that counts places of the full prompt.

    Args:
        places: [b, rows] place in the full prompt of each row that is left.
        total: rows of the full prompt.
        written: tokens after the prompt that are in the cache.
        new: tokens of this forward.
        window: in tokens.

    Returns:
        bool [b, 1, new, rows + written + new], True = may attend.
    """
    after = torch.arange(total, total + written + new, device=places.device)
    # [b, rows + written + new] -> [b, 1, 1, keys], against queries [new, 1] -> [b, 1, new, keys]
    keys = torch.cat([places, after.expand(len(places), -1)], 1)[:, None, None]
    queries = after[written:, None]
    return (keys <= queries) & (keys > queries - window)
