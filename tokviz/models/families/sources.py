"""From which outputs of the vision tower each visual token was formed.

A tower gives one output per patch of each of its rows (a row is one element of its batch: an image,
a tile, a thumbnail). LLaVA makes one visual token of each patch; pixel shuffle and merger blocks
make one of 4, Gemma 3 one of 16; un-padding drops patches; newline tokens come from none. What
was observed per patch becomes a number per token here, in one of two ways:

* states, norms and logits: the mean over a token's sources (weighted where features are resized);
* attention, whose sum over patches means something: each patch's share goes to the tokens formed
  from it, so that the sum stays. What fell on dropped patches is lost.

Tokens without a source get 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tokviz.trace.layout import PATCH, Layout


@dataclass(frozen=True, eq=False)
class Sources:
    """Which patches of which tower rows each of n visual tokens was formed from."""

    index: np.ndarray
    "int64 [n, k], row * patches + patch, [CLS] not counted; -1 = no source."
    rows: int
    "Rows of the tower's batch."
    patches: int
    "Patches of each row."
    weight: np.ndarray | None = None
    "float32 [n, k], how much each source counts; None = all the same."
    units: np.ndarray | None = None
    """int64 [n, j], the patches that leave the tower together with a token, each of them with one
    token only and all in one row; some written again where a token has fewer than j. None =
    `index`."""

    @classmethod
    def grid(cls, layout: Layout, factor: int = 1) -> Sources:
        """Return the sources where every tile of the layout is one tower row.

        Args:
            layout: its tiles in the order of the tower's rows, all with equally many tokens.
            factor: a token at (row, col) was formed from factor x factor patches of its tile.
        """
        first = layout.tiles[0]
        patches = first.rows * first.cols * factor * factor
        width = np.array([tile.cols for tile in layout.tiles], np.int64)[layout.tile] * factor
        down, right = np.divmod(np.arange(factor * factor), factor)
        row = layout.row.astype(np.int64)[:, None] * factor + down
        col = layout.col.astype(np.int64)[:, None] * factor + right
        index = layout.tile.astype(np.int64)[:, None] * patches + row * width[:, None] + col
        index[layout.kind != PATCH] = -1
        return cls(index, len(layout.tiles), patches)

    @classmethod
    def itself(cls, n: int) -> Sources:
        """Return the sources where what was observed is there per token already."""
        return cls(np.arange(n)[:, None], 1, n)

    @property
    def one_patch_each(self) -> bool:
        """True when every token was formed from one patch at most."""
        return self.index.shape[1] == 1

    @cached_property
    def row(self) -> np.ndarray:
        """int64 [n], tower row in which each token lies, -1 without a source."""
        best = (self.index if self.units is None else self.units).max(1)
        return np.where(best < 0, -1, best // self.patches)

    def leaving(self, tokens: np.ndarray) -> np.ndarray:
        """Return the patches that leave the tower with each of some tokens, int64 [tokens, j]."""
        if self.units is None:
            return self.index[tokens]
        units = self.units[tokens]
        again = (units == units[:, :1]).all(0)
        again[0] = False
        return units[:, ~again]

    def whole_row(self, tokens: np.ndarray) -> int | None:
        """Return the tower row whose patches, one each and in order, the tokens are, or None."""
        index = self.index[tokens]
        if index.shape != (self.patches, 1) or index[0, 0] % self.patches:
            return None
        row = int(index[0, 0]) // self.patches
        return row if (index[:, 0] == row * self.patches + np.arange(self.patches)).all() else None

    @cached_property
    def means(self) -> np.ndarray:
        """float64 [n, k], rows that add up to 1, or to 0 without a source."""
        weight = np.ones(self.index.shape) if self.weight is None else self.weight
        weight = np.where(self.index < 0, 0.0, weight)
        return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)

    @cached_property
    def _shares(self) -> np.ndarray:
        """float64 [n, k], weights of each patch that add up to 1 over the tokens formed from it."""
        there = self.index >= 0
        total = np.zeros(self.rows * self.patches)
        np.add.at(total, self.index[there], self.means[there])
        return np.where(there, self.means / np.maximum(total[self.index], 1e-12), 0.0)

    def mean(self, values: torch.Tensor, tokens: np.ndarray | None = None) -> torch.Tensor:
        """Return the mean over each token's sources.

        Args:
            values: [rows, ..., patches].
            tokens: which tokens; None = all.

        Returns:
            [..., tokens], in the type of `values`.
        """
        return self._combine(values, self.means, tokens)

    def share(self, values: torch.Tensor, tokens: np.ndarray | None = None) -> torch.Tensor:
        """Return what the patches have, dealt out to the tokens: [rows, ..., patches] -> [..., n].

        The sum over all patches that are a source of some token stays.
        """
        return self._combine(values, self._shares, tokens)

    def mean_states(self, states: torch.Tensor, tokens: np.ndarray | None = None) -> torch.Tensor:
        """Return mean states: [rows, ..., patches, d] -> [..., tokens, d]."""
        return self.mean(states.transpose(-1, -2), tokens).transpose(-1, -2)

    def mean_map(self, maps: torch.Tensor, tokens: np.ndarray) -> torch.Tensor | None:
        """Return attention among tokens of one tower row; None where they lie in several.

        Args:
            maps: [rows, h, patches, patches], queries by keys.
            tokens: which tokens.

        Returns:
            [h, tokens, tokens]: mean over a query's sources, shares of a key's.
        """
        rows = np.unique(self.row[tokens])
        if len(rows) != 1 or rows[0] < 0:
            return None
        one = Sources(self.index[tokens] - rows[0] * self.patches, 1, self.patches)
        keys = one.share(maps[rows[0]][None])
        return one.mean_states(keys[None])

    def _combine(
        self, values: torch.Tensor, weights: np.ndarray, tokens: np.ndarray | None
    ) -> torch.Tensor:
        flat = values.movedim(0, -2).flatten(-2)
        chosen = slice(None) if tokens is None else tokens
        index = torch.as_tensor(self.index[chosen], device=flat.device)
        if self.one_patch_each:
            return flat[..., index[:, 0].clamp_min(0)].masked_fill(index[:, 0] < 0, 0)
        part = torch.as_tensor(weights[chosen], dtype=torch.float32, device=flat.device)
        return (flat[..., index.clamp_min(0)].float() * part).sum(-1).to(flat.dtype)
