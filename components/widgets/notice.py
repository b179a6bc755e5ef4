"""One line about what is going on."""

from typing import Any

from .widget import Widget


class Notice(Widget):
    """Progress, a warning, or what went wrong; {kind: busy | warn | bad | "", text}."""

    script = "Notice"
    template = "notice.html"


def notice(text: str = "", kind: str = "") -> dict[str, Any]:
    """Return a notice's value."""
    return {"kind": kind, "text": text}
