"""From which patches of the vision tower each visual token is computed (its sources).

A tower has one output per patch of each of its rows (a row is one element of its batch: an image, a
tile, a thumbnail). LLaVA makes one visual token from each patch; pixel shuffle and merger blocks
make one from 4, Gemma 3 one from 16. Patches of padding have no token, newline tokens have no
patch. Values per patch become values per token in one of two ways:

* states, norms and logits: the mean over a token's sources (weighted if features were resized);
* attention, which is summed over patches: each patch's value is split among the tokens computed
  from it, so that the sum stays the same. The attention on patches without a token is lost.

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
    """The patches of the tower's rows from which each of n visual tokens is computed."""

    index: np.ndarray
    "int64 [n, k], row * patches + patch, [CLS] not counted; -1 = no source."
    rows: int
    "Rows of the tower's batch."
    patches: int
    "Patches of each row."
    weight: np.ndarray | None = None
    "float32 [n, k], weight of each source; None = all equal."
    units: np.ndarray | None = None
    """int64 [n, j], the patches that are removed in the tower together with a token. A patch is in
    one token only, and the patches of a token are in one row; a token of fewer than j patches lists
    some of them twice. None = `index`."""

    @classmethod
    def grid(cls, layout: Layout, factor: int = 1) -> Sources:
        """Return the sources for towers with one row per tile of the layout.

        Args:
            layout: its tiles in the order of the tower's rows, all with equally many tokens.
            factor: a token is computed from factor x factor patches of its tile.
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
    def squares(
        cls, layout: Layout, grids: np.ndarray, side: int, length: int | None = None
    ) -> Sources:
        """Return the sources for images of any shape whose patches are in raster order.

        Args:
            layout: every image is one tile.
            grids: int64 [images, 2], rows and columns of patches of each image.
            side: a token is computed from side x side patches.
            length: patches of a tower row, each of which begins with an image; None = all images
                follow each other in one row.
        """
        counts = grids.prod(1) if length is None else np.full(len(grids), length)
        first = np.cumsum([0, *counts])
        down, right = np.divmod(np.arange(side * side), side)
        row = layout.row.astype(np.int64)[:, None] * side + down
        col = layout.col.astype(np.int64)[:, None] * side + right
        index = first[layout.tile][:, None] + row * grids[layout.tile, 1:] + col
        return cls(index, 1 if length is None else len(grids), length or int(first[-1]))

    @classmethod
    def itself(cls, n: int) -> Sources:
        """Return the sources for values that are per token already."""
        return cls(np.arange(n)[:, None], 1, n)

    @property
    def one_patch_each(self) -> bool:
        """True if every token is computed from at most one patch."""
        return self.index.shape[1] == 1

    @cached_property
    def row(self) -> np.ndarray:
        """int64 [n], tower row of each token, -1 without a source."""
        best = (self.index if self.units is None else self.units).max(1)
        return np.where(best < 0, -1, best // self.patches)

    def leaving(self, tokens: np.ndarray) -> np.ndarray:
        """Return the patches that are removed with each of some tokens, int64 [tokens, j]."""
        if self.units is None:
            return self.index[tokens]
        units = self.units[tokens]
        again = (units == units[:, :1]).all(0)
        again[0] = False
        return units[:, ~again]

    def whole_row(self, tokens: np.ndarray) -> int | None:
        """Return the tower row if the tokens are exactly its patches in order, else None."""
        index = self.index[tokens]
        if index.shape != (self.patches, 1) or index[0, 0] % self.patches:
            return None
        row = int(index[0, 0]) // self.patches
        return row if (index[:, 0] == row * self.patches + np.arange(self.patches)).all() else None

    @cached_property
    def means(self) -> np.ndarray:
        """float64 [n, k], weights that sum to 1 in each row; 0 without a source."""
        weight = np.ones(self.index.shape) if self.weight is None else self.weight
        weight = np.where(self.index < 0, 0.0, weight)
        return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)

    @cached_property
    def _shares(self) -> np.ndarray:
        """float64 [n, k], weights that sum to 1 over the tokens of each patch."""
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
        """Split the patches' values among the tokens: [rows, ..., patches] -> [..., n].

        The sum over all patches with a token stays the same.
        """
        return self._combine(values, self._shares, tokens)

    def mean_states(self, states: torch.Tensor, tokens: np.ndarray | None = None) -> torch.Tensor:
        """Return mean states: [rows, ..., patches, d] -> [..., tokens, d]."""
        return self.mean(states.transpose(-1, -2), tokens).transpose(-1, -2)

    def mean_map(self, maps: torch.Tensor, tokens: np.ndarray) -> torch.Tensor | None:
        """Return attention among tokens of one tower row; None if they are in several rows.

        Args:
            maps: [rows, h, patches, patches], queries by keys.
            tokens: which tokens.

        Returns:
            [h, tokens, tokens]: mean over a query's patches, split among a key's tokens.
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
        # [rows, ..., patches] -> [..., rows * patches], which `index` counts
        flat = values.movedim(0, -2).flatten(-2)
        chosen = slice(None) if tokens is None else tokens
        index = torch.as_tensor(self.index[chosen], device=flat.device)
        if self.one_patch_each:
            return flat[..., index[:, 0].clamp_min(0)].masked_fill(index[:, 0] < 0, 0)
        part = torch.as_tensor(weights[chosen], dtype=torch.float32, device=flat.device)
        # [..., tokens, k] * [tokens, k] -> [..., tokens]; index -1 reads patch 0 with weight 0
        return (flat[..., index.clamp_min(0)].float() * part).sum(-1).to(flat.dtype)
