"""One line of status: progress, a warning, or an error."""

from typing import Any

from .widget import Widget


class Notice(Widget):
    """Progress, a warning, or what went wrong; {kind: busy | warn | bad | "", text}."""

    script = "Notice"
    template = "page/notice.html"


def notice(text: str = "", kind: str = "") -> dict[str, Any]:
    """Return a notice's value."""
    return {"kind": kind, "text": text}
