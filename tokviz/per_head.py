"""What each key head's cache holds of the visual tokens: one small matrix per head.

A token may stay in the cache of one key head and leave that of another. Per head it is in its own
entry (kept), mixed into the entry of another token (merged), mixed into the entry of a row of text,
or nowhere (pruned). `of_heads` joins the heads of a layer to one W, in which a token that at least
one head keeps is a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tokviz.matrix import KEPT, MERGED, PRUNED, Reduction

GONE = -1


@dataclass(frozen=True, eq=False)
class PerHead:
    """The entries of every key head of one layer, for n visual tokens."""

    fate: np.ndarray
    "uint8 [g, n] of KEPT, MERGED, PRUNED; a token mixed into a row of text is MERGED."
    into: np.ndarray | None = None
    "int64 [g, n], token in whose entry each token is, its own number = kept, -1 = in none."
    weights: np.ndarray | None = None
    "float32 [g, n], weight of a merged token in that entry; what is missing to 1 is the keeper's."
    text_row: np.ndarray | None = None
    "int64 [g, n], row of the prompt, no visual token, into whose entry each token is mixed, or -1."

    @property
    def heads(self) -> int:
        """Number of key heads."""
        return len(self.fate)

    def kept(self, head: int) -> np.ndarray:
        """Return the tokens that have an entry of their own in a head, ascending."""
        return np.flatnonzero(self.fate[head] == KEPT)

    @property
    def counts(self) -> np.ndarray:
        """int64 [g], tokens that each head keeps."""
        return (self.fate == KEPT).sum(1)


def of_heads(into: Any, weights: Any = None, text_row: Any = None, **provenance: Any) -> Reduction:
    """Return the decision of a layer whose key heads keep different tokens.

    W has a row for each token that some head keeps; its entries are the mean over the heads that
    keep it. Where no head merges, every row is one-hot.

    Args:
        into: [g, n], token in whose entry each token is, -1 = in none or in a row of text.
        weights: [g, n], weight of each merged token in that entry; None = nothing is merged.
        text_row: [g, n], row of the prompt into whose entry a token is mixed, -1 = none.
        **provenance: score, order, roles and notes.
    """
    into = np.asarray(into, np.int64)
    heads, n = into.shape
    weights = np.zeros(into.shape, np.float32) if weights is None else np.asarray(weights)
    text_row = np.full(into.shape, GONE) if text_row is None else np.asarray(text_row, np.int64)
    own = into == np.arange(n)
    fate = np.where(own, KEPT, np.where((into >= 0) | (text_row >= 0), MERGED, PRUNED))
    held = PerHead(fate.astype(np.uint8), into, weights.astype(np.float32), text_row)
    kept = np.flatnonzero(own.any(0))
    keepers = own.sum(0)
    # dense [n, n] would be 16 million numbers for 4,096 tokens: only the entries that exist
    head, token = np.nonzero((into >= 0) & ~own)
    target, share = into[head, token], weights[head, token].astype(np.float64)
    alone = keepers.astype(np.float64)
    np.subtract.at(alone, target, share)
    pair, inverse = np.unique(target * n + token, return_inverse=True)
    summed = np.bincount(inverse, share, minlength=len(pair)) / keepers[pair // n]
    place = np.searchsorted(kept, pair // n)
    return Reduction.from_entries(
        np.concatenate([np.arange(len(kept)), place]),
        np.concatenate([kept, pair % n]),
        np.concatenate([alone[kept] / keepers[kept], summed]),
        n,
        len(kept),
        kept,
        heads=held,
        **provenance,
    )
