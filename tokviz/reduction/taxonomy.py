"""Where a method stands in the taxonomies of the surveys: read off its declaration.

The surveys of token reduction (arXiv 2507.20198, 2503.24047, 2505.18227, 2507.09702) sort methods
by where they act, what they decide from, whether they prune or merge, whether the question counts,
whether they need training, and whether they are made for films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tokviz.errors import InputError
from tokviz.method_filters import FILTERS
from tokviz.names import unknown
from tokviz.reduction.method import METHODS, Method

READS: dict[str, str] = {
    "attention": "attention scores, of the vision tower or of the language model",
    "features": "features, keys or states of the tokens, compared with each other",
    "question": "text of the question",
    "gradients": "gradients, or another map of relevance for the answer",
    "layout": "only where a token lies",
    "nothing": "nothing of what the picture shows",
}
"""What a decision is made from."""

ACTS: dict[str, str] = {
    "select": "prunes",
    "merge": "merges",
    "both": "prunes and merges",
}

SIGNAL_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gradients", ("relevance", "llm_attn_grad")),
    ("question", ("text_", "asked_", "llm_text", "llm_hidden_query", "llm_hidden_last")),
    ("attention", ("attn", "logits", "peek", "qk_", "cache_sparsity", "tower_map")),
    ("features", ("feats", "hidden", "keys", "normed", "img_clip", "cls_pre", "lens", "neurons",
                  "transition", "rope_bias", "pixels", "patch_entropy")),
    ("layout", ("grid", "index", "tile", "cell", "crops", "unpad_mask", "visual_rows")),
)  # fmt: skip
"""What a signal is, by a part of its name; the first group that fits counts."""
BARE = {"q": "attention", "k": "features", "v": "features"}
"""Queries are read for their products with keys, which are attention scores."""


@dataclass(frozen=True)
class Taxonomy:
    """Where one method stands."""

    where: str
    "A key of PLACES."
    reads: tuple[str, ...]
    "Keys of READS."
    kind: str
    "A key of ACTS."
    query_aware: bool
    training_free: bool
    "Whether the publication needs no training; here nothing is trained, so others are stand-ins."
    frames: bool
    "Made for the frames of a film."

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self) | {"reads": list(self.reads)}


def group_of(signal: str) -> str | None:
    """Return what a signal is, a key of READS; None for counts and the like."""
    if signal in BARE:
        return BARE[signal]
    for group, parts in SIGNAL_GROUPS:
        if any(part in signal for part in parts):
            return group
    return None


def taxonomy(entry: Method) -> Taxonomy:
    """Return where a method stands."""
    found = {group_of(name) for name in entry.needs} - {None}
    found |= {group_of(name) for name in entry.optional} & {"question", "gradients"}
    if len(found) > 1:
        found.discard("layout")
    reads = tuple(group for group in READS if group in found) or ("nothing",)
    return Taxonomy(
        entry.place, reads, entry.kind, entry.query_aware, entry.training_free, entry.frames
    )


def matching(filters: Mapping[str, str]) -> list[Method]:
    """Return the methods that fit every filter, in the order of the registry.

    Args:
        filters: name of FILTERS -> value; a text with commas fits any of its values.

    Raises:
        InputError: an unknown filter or value.
    """
    wanted = {name: _values(name, text) for name, text in filters.items()}
    return [entry for entry in METHODS.values() if _fits(taxonomy(entry), wanted)]


def _values(name: str, text: str) -> set[str]:
    if name not in FILTERS:
        raise InputError(unknown("filter", name, FILTERS))
    values = {part.strip() for part in text.split(",") if part.strip()}
    for value in values:
        if value not in FILTERS[name]:
            raise InputError(unknown(f"value of {name}", value, FILTERS[name]))
    return values


def _fits(found: Taxonomy, wanted: Mapping[str, set[str]]) -> bool:
    for name, values in wanted.items():
        own = getattr(found, name)
        own = {"yes" if own else "no"} if isinstance(own, bool) else own
        own = set(own) if isinstance(own, (set, tuple)) else {own}
        if values and not own & values:
            return False
    return True
