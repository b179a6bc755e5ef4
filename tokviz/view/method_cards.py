"""The entries of the menus of methods and mitigations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokviz.reduction.method import POSITIONS_AT
from tokviz.reduction.taxonomy import taxonomy
from tokviz.view.about import about, status_text

LEFT_OUT = {
    "mask": ("masks only", "Hides tokens but does not shorten the sequence."),
    "bypass": ("skips layers", "Tokens skip some layers; after these all are there again."),
    "unmerge": ("for attention only", "Merges tokens for attention and copies the result back."),
    "decode": ("while answering", "The prompt is read with all tokens; answer words see few."),
    "shrink": ("smaller picture", "The processor makes fewer tokens of a smaller picture."),
    "evict": ("shortens the KV cache", "The prompt is read whole; then tokens leave the cache, "
              "in each head others."),
}  # fmt: skip
"""Effect of a method -> its badge and the badge's explanation; absent = tokens are removed."""


def method_card(method: Any, reason: str = "") -> dict[str, Any]:
    """Return the entry of one registered method in the method menu.

    Args:
        method: an entry of METHODS.
        reason: why it cannot be used on this model, or "".
    """
    return {
        "name": method.name,
        "title": method.title,
        "where": method.acts_at,
        "kind": method.kind,
        "query_aware": method.query_aware,
        "taxonomy": taxonomy(method).as_json(),
        "verified": method.verified,
        "left_out": LEFT_OUT.get(method.effect),
        "positions": method.positions,
        "position_choices": list(POSITIONS_AT[method.place]),
        "summary": method.summary,
        "notes": method.notes,
        "about": about(method),
        "paper": method.paper,
        "year": method.year,
        "missing": reason,
        "options": [option_card(option) for option in method.options.values()],
    }


def mitigation_card(entry: Any) -> dict[str, Any]:
    """Return the entry of one registered mitigation in the mitigation menu."""
    return {
        "name": entry.name,
        "title": entry.title,
        "summary": entry.summary,
        "notes": entry.notes,
        "about": [("Status", status_text(entry))],
        "verified": entry.verified,
        "options": [option_card(option) for option in entry.options.values()],
    }


def option_card(option: Any) -> Mapping[str, Any]:
    """Return an option as the page's forms read it."""
    limits = option.range
    return {
        "name": option.name,
        "type": option.type.__name__,
        "default": option.default,
        "choices": list(option.choices),
        "low": limits.low if limits else None,
        "high": limits.high if limits else None,
        "step": limits.step if limits else None,
    }
