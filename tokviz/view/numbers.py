"""Numbers as text, in the one form that the page uses: "25 %", with a space."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """Return a share, 0 to 1, in per cent; one that is not 0 is never shown as 0."""
    text = f"{100 * share:.{digits}f}"
    if share > 0 and float(text) == 0:
        return f"<{10**-digits:.{digits}f} %"
    return f"{text} %"
