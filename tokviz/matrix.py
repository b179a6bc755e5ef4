"""A reduction as a sparse matrix W [m, n], Y = W X: how each output token depends on the tokens.

Pruning has one-hot rows; merging, pooling and soft many-to-many have rows with several entries (as
in Token Transforming, arXiv 2506.05709). Stages are joined by multiplication. Everything that an
overlay draws (fate, group, representative, weight) is computed from W alone. numpy only, so that
traces and views can use it without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokviz.array_input import plain_array, real_numbers, token_numbers
from tokviz.budget import whole_number
from tokviz.errors import InputError
from tokviz.notebook_display import made

if TYPE_CHECKING:
    from tokviz.per_head import PerHead

KEPT, MERGED, PRUNED = 0, 1, 2
FATES = ("kept", "merged", "pruned")
"""Names of the values in `Reduction.fate`."""


def _count(n: Any) -> int:
    """Return a number of tokens as an int; raise InputError for anything else."""
    count = whole_number(n)
    if count is None or count < 0:
        raise InputError(f"n must be the number of source tokens, got {str(n)[:40]!r}.")
    return count


@dataclass(frozen=True, eq=False)
class Reduction:
    """A sparse matrix W [m, n] from n visual tokens to m output tokens, with its provenance."""

    rows: np.ndarray
    "int64 [nnz], output token of each entry, ascending."
    cols: np.ndarray
    "int64 [nnz], source token of each entry, ascending inside a row."
    weights: np.ndarray
    "float32 [nnz], never zero."
    n: int
    "Number of source tokens (columns)."
    position: np.ndarray
    "int64 [m], the source token whose place (position id, box) each output token has."
    score: np.ndarray | None = None
    "float32 [n], importance; higher = more important, NaN = not scored."
    order: np.ndarray | None = None
    "int64 [k], source tokens in the order in which the method chose them."
    roles: Mapping[str, np.ndarray] = field(default_factory=dict)
    "The method's own names for groups of source tokens, such as dominant, anchor, protected."
    notes: tuple[str, ...] = ()
    "Sentences for the user, such as a fallback that was used."
    prefix_cls: bool = False
    "True = the tower's [CLS] state is added before the m tokens, as one more token."
    heads: PerHead | None = None
    "What each key head's cache holds, for decisions about a layer's KV cache."

    # -- constructors -------------------------------------------------------------------------

    @classmethod
    def from_entries(
        cls, rows: Any, cols: Any, weights: Any, n: int, m: int, position: Any, **provenance: Any
    ) -> Reduction:
        """Build W from coordinate entries in any order; zero weights are dropped.

        Raises:
            InputError: an index lies outside [m, n], or a weight is not finite.
        """
        n, rows, cols = _count(n), token_numbers(rows, "rows"), token_numbers(cols, "cols")
        weights = real_numbers(weights, "weights").reshape(-1)
        position = token_numbers(position, "position")
        if not len(rows) == len(cols) == len(weights):
            raise InputError("rows, cols and weights must have the same length.")
        if len(position) != m:
            raise InputError(f"position must name one source token for each of the {m} rows.")
        if rows.size and (rows.min() < 0 or rows.max() >= m or cols.min() < 0 or cols.max() >= n):
            raise InputError(f"an entry lies outside the [{m}, {n}] matrix.")
        if m and (position.min() < 0 or position.max() >= n):
            raise InputError(f"a position lies outside the {n} source tokens.")
        if not np.isfinite(weights).all():
            raise InputError("weights must be finite.")
        entry = np.lexsort((cols, rows))
        entry = entry[weights[entry] != 0]
        if provenance.get("score") is not None:
            provenance["score"] = real_numbers(provenance["score"], "score").reshape(-1)
        if provenance.get("order") is not None:
            provenance["order"] = token_numbers(provenance["order"], "order")
        roles = {
            name: np.sort(token_numbers(tokens, f"the role {name!r}"))
            for name, tokens in provenance.pop("roles", {}).items()
        }
        return cls(rows[entry], cols[entry], weights[entry], n, position, roles=roles, **provenance)

    @classmethod
    def select(cls, kept: Any, n: int, **provenance: Any) -> Reduction:
        """Keep exactly these source tokens, in ascending order, and drop the rest."""
        kept = np.unique(token_numbers(kept, "the tokens to keep"))
        m = len(kept)
        return cls.from_entries(np.arange(m), kept, np.ones(m), n, m, kept, **provenance)

    @classmethod
    def identity(cls, n: int, **provenance: Any) -> Reduction:
        """Keep every token."""
        return cls.select(np.arange(_count(n)), n, **provenance)

    @classmethod
    def from_groups(
        cls,
        groups: Sequence[Any],
        n: int,
        *,
        sizes: Any = None,
        position: Any = None,
        **provenance: Any,
    ) -> Reduction:
        """Merge each group of source tokens into its mean.

        Args:
            groups: one list of source tokens per output token.
            n: number of source tokens.
            sizes: [n], number of patches of each source token, the weights of the mean.
            position: [m], representative of each group; default its first member.
            **provenance: score, order, roles and notes.

        Raises:
            InputError: an empty group, a token outside n, or sizes that are not n positive numbers.
        """
        n = _count(n)
        sizes = np.ones(n, np.float32) if sizes is None else real_numbers(sizes, "sizes")
        if sizes.shape != (n,) or not (sizes > 0).all():
            raise InputError(f"sizes must be {n} numbers above 0, one per source token.")
        if not isinstance(groups, Iterable):
            raise InputError(f"groups must be lists of tokens, got a {type(groups).__name__}.")
        members = [token_numbers(group, "a group") for group in groups]
        if not all(len(group) for group in members):
            raise InputError("every group must have at least one token.")
        rows = np.repeat(np.arange(len(members)), [len(g) for g in members])
        cols = np.concatenate(members) if members else np.zeros(0, np.int64)
        if cols.size and not 0 <= cols.min() <= cols.max() < n:
            raise InputError(f"groups must hold tokens 0 to {n - 1}, got {cols.max()}.")
        total = np.bincount(rows, sizes[cols], minlength=len(members))
        if position is None:
            position = [group[0] for group in members]
        weights = sizes[cols] / total[rows]
        return cls.from_entries(rows, cols, weights, n, len(members), position, **provenance)

    # -- what W says --------------------------------------------------------------------------

    def _repr_html_(self) -> str | None:
        """Return what became of every token as Jupyter shows it."""
        return made("reduction", self)

    @property
    def m(self) -> int:
        """Number of output tokens."""
        return len(self.position)

    def matrix(self) -> np.ndarray:
        """W as a dense float32 array [m, n]."""
        dense = np.zeros((self.m, self.n), np.float32)
        dense[self.rows, self.cols] = self.weights
        return dense

    @cached_property
    def row_sizes(self) -> np.ndarray:
        """int64 [m], number of source tokens in each output token."""
        return np.bincount(self.rows, minlength=self.m)

    @cached_property
    def kept(self) -> np.ndarray:
        """Sorted source tokens that are the only entry of a row, with weight 1."""
        return np.unique(self.cols[self.is_copy[self.rows]])

    @cached_property
    def fate(self) -> np.ndarray:
        """uint8 [n] of KEPT, MERGED, PRUNED; a token that is kept and also merged is KEPT."""
        fate = np.full(self.n, PRUNED, np.uint8)
        fate[self.cols] = MERGED
        fate[self.kept] = KEPT
        return fate

    @cached_property
    def group(self) -> np.ndarray:
        """int64 [n], the output token with most weight on each source token; -1 = pruned."""
        group = np.full(self.n, -1, np.int64)
        light_first = np.lexsort((-self.rows, np.abs(self.weights)))
        group[self.cols[light_first]] = self.rows[light_first]
        alone = self.is_copy[self.rows]
        group[self.cols[alone]] = self.rows[alone]
        return group

    @cached_property
    def is_copy(self) -> np.ndarray:
        """Bool [m], which output tokens are an unchanged source token (one-hot rows)."""
        weighted = np.zeros(self.m, bool)
        weighted[self.rows[self.weights != 1]] = True
        return (self.row_sizes == 1) & ~weighted

    @property
    def is_selection(self) -> bool:
        """True if every row is one-hot, so that W X is a plain gather."""
        return bool(self.is_copy.all())

    @property
    def is_identity(self) -> bool:
        """True if every token stays as it is, in its place."""
        return self.is_selection and np.array_equal(self.cols, np.arange(self.n))

    def apply(self, x: Any) -> Any:
        """Return W x for x [n, d], numpy or torch; a selection gives bit-identical rows.

        Merging integers gives float32, since their mean may not be an integer. A torch tensor stays
        on its device and in its float type; it is summed in float32 or wider.

        Raises:
            InputError: not an array of n rows, or one whose rows cannot be added.
        """
        if hasattr(x, "detach"):
            return self._apply_torch(x)
        x = plain_array(x, "x")
        self._check_rows(x)
        if self.is_selection:
            return x[self.cols]
        if x.dtype.kind not in "biufc":
            raise InputError(f"x must be numbers, since rows are merged, got {x.dtype}.")
        kind = x.dtype if np.issubdtype(x.dtype, np.inexact) else np.dtype(np.float32)
        out = np.zeros((self.m, *x.shape[1:]), kind)
        weights = self.weights.astype(kind).reshape(-1, *[1] * (x.ndim - 1))
        np.add.at(out, self.rows, weights * x[self.cols])
        return out

    def _apply_torch(self, x: Any) -> Any:
        """Return W x of a torch tensor by the tensor's own methods, without importing torch."""
        self._check_rows(x)
        x = x if str(x.layout) == "torch.strided" else x.to_dense()
        # new_tensor keeps a type: bfloat16 would round token 257 to 256, uint8 wraps it to 1
        whole = (x[:0] == 0).long()
        cols = whole.new_tensor(self.cols)
        if self.is_selection:
            return x[cols]
        inexact = x.is_floating_point() or x.is_complex()
        wide = x if inexact and x.element_size() >= 4 else x.float()
        # [nnz, 1, ...], so that a weight scales a whole row
        weights = wide.new_tensor(self.weights).reshape(-1, *[1] * (x.ndim - 1))
        out = wide.new_zeros((self.m, *x.shape[1:]))
        out = out.index_add(0, whole.new_tensor(self.rows), weights * wide[cols])
        return out.to(x.dtype) if inexact else out

    def _check_rows(self, x: Any) -> None:
        """Raise InputError unless an array has n rows."""
        shape = tuple(x.shape)
        if shape[:1] != (self.n,):
            batch = " Take x[0], without the batch axis." * (shape[:2] == (1, self.n))
            got = f"got {shape[0]}" if shape else "got a single number"
            raise InputError(f"this reduction takes {self.n} tokens, {got}.{batch}")

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Split values of output tokens among their source tokens, by the weights of each row.

        Args:
            values: [..., m], such as the attention that each output token receives.

        Returns:
            [..., n] with the same sum; pruned tokens get 0.

        Raises:
            InputError: the last axis does not have m numbers.
        """
        values = real_numbers(values, "values")
        if values.shape[-1:] != (self.m,):
            raise InputError(
                f"values must have {self.m} numbers in the last axis, one per output token, got "
                f"{list(values.shape)}."
            )
        if self.is_selection:
            sources, parts = self.cols, values
        else:
            weight = np.abs(self.weights)
            share = weight / np.bincount(self.rows, weight, minlength=self.m)[self.rows]
            by_source = np.argsort(self.cols, kind="stable")
            sources, starts = np.unique(self.cols[by_source], return_index=True)
            parts = values.take(self.rows[by_source], -1)
            parts *= share[by_source].astype(np.float32)
            if len(sources) < len(by_source):  # tokens that several output tokens have a share of
                parts = np.add.reduceat(parts, starts, -1)
        if np.array_equal(sources, np.arange(self.n)):
            return parts
        out = np.zeros((*values.shape[:-1], self.n), np.float32)
        out[..., sources] = parts
        return out

    # -- combining ----------------------------------------------------------------------------

    def products(self, later: Reduction) -> int:
        """Return the number of products in `then`; its memory and time are proportional to it."""
        return int(self.row_sizes[later.cols].sum())

    def then(self, later: Reduction) -> Reduction:
        """Return this reduction followed by `later`, later.W @ W."""
        if not isinstance(later, Reduction):
            raise InputError(f"a later stage must be a Reduction, got a {type(later).__name__}.")
        if later.n != self.m:
            raise InputError(f"the later stage takes {later.n} tokens, this one gives {self.m}.")
        starts = np.searchsorted(self.rows, np.arange(self.m + 1))
        lengths = np.diff(starts)[later.cols]
        entry = np.repeat(starts[later.cols], lengths) + _ramp(lengths)
        rows, cols = np.repeat(later.rows, lengths), self.cols[entry]
        weights = np.repeat(later.weights, lengths) * self.weights[entry]
        key, inverse = np.unique(rows * self.n + cols, return_inverse=True)
        summed = np.bincount(inverse, weights, minlength=len(key))
        return Reduction.from_entries(
            key // max(self.n, 1),
            key % max(self.n, 1),
            summed,
            self.n,
            later.m,
            self.position[later.position],
            notes=self.notes + later.notes,
            prefix_cls=self.prefix_cls or later.prefix_cls,
        )

    def in_raster_order(self) -> Reduction:
        """Return the same reduction with its rows sorted by representative."""
        order = np.argsort(self.position, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(self.m)
        entry = np.lexsort((self.cols, rank[self.rows]))
        return replace(
            self,
            rows=rank[self.rows][entry],
            cols=self.cols[entry],
            weights=self.weights[entry],
            position=self.position[order],
        )


def _ramp(lengths: np.ndarray) -> np.ndarray:
    """Return 0..k-1 for each k in lengths, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
