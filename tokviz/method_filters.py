"""What a list of methods can be filtered by; imports nothing, so that --help needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

FILTERS: Mapping[str, tuple[str, ...]] = {
    "where": ("picture", "tower", "before", "language_model", "cache"),
    "reads": ("attention", "features", "question", "gradients", "layout", "nothing"),
    "kind": ("select", "merge", "both"),
    "query_aware": ("yes", "no"),
    "training_free": ("yes", "no"),
    "frames": ("yes", "no"),
}
"""Name of a filter -> its values, which `tokviz.reduction.taxonomy` explains."""
