"""The report of a sweep: one HTML file that works without server and network.

Its texts come from data sets, files and models, so every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlencode

from tokviz.view.numbers import percent
from tokviz.view.sweep_charts import Point, over_budget, over_time, pareto

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;
background:#fff;color:#1c2128}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top}
td.number,th.number,td:first-child{white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
img{max-width:96px;max-height:96px;display:block}
p.note,td small{color:#59636e}
.lost::before{content:"\\2717 ";color:#b3261e}.gained::before{content:"\\2713 ";color:#1a7f37}
.scroll{overflow-x:auto}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}
th,td{border-color:#30363d}a{color:#58a6ff}}
"""
LEGEND = (
    '<p class="note">★ nothing else here is as good and clearly faster to the first token. Times '
    "are medians; “of full” is the median over the questions of the time relative to all tokens, "
    "in brackets the middle 80 % (all of up to 12 questions): ≈ where that covers no difference. "
    "Prefill by formula: multiplications relative to all tokens. KL (nats) and total variation: "
    "how far the next-token distributions lie from the full answer's, 0 = not at all.</p>"
)
TURNS = {"lost": "right, now wrong", "gained": "wrong, now right", "": "another answer"}


@dataclass(frozen=True)
class Flip:
    """A question that a setting answers differently from the full model."""

    prompt: str
    truth: str
    full: str
    answer: str
    model: str
    setting: str
    "Method and budget in words."
    turn: str = ""
    "lost: right before, gained: right now, empty: neither is known."
    example: str = ""
    "Name of a stored run that the lab can open; empty = no run was stored."
    lane: int = 0
    command: str = ""
    "The command that runs it, if no run was stored."
    thumbnail: str = ""
    "data: address of a small picture."


@dataclass(frozen=True)
class SweepReport:
    """The contents of the page."""

    title: str
    facts: tuple[str, ...]
    "Sentences under the title."
    panels: tuple[tuple[str, tuple[Point, ...]], ...]
    "(name of the measure with the model, its points)"
    flips: tuple[Flip, ...] = ()
    left_out: int = 0
    "Flips that are not listed."
    failures: tuple[tuple[str, int], ...] = field(default=())
    "(sentence, how many rows)"
    lab: str = "http://127.0.0.1:7860"
    "Address of the page that links open."


def page(report: SweepReport) -> str:
    """Return the whole page."""
    parts = [f"<h1>{escape(report.title)}</h1>"]
    parts += [f"<p>{escape(fact)}</p>" for fact in report.facts]
    for number, (name, points) in enumerate(report.panels):
        parts.append(panel(name, points, first=number == 0))
    parts.append(failures(report.failures))
    parts.append(flips(report))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def panel(name: str, points: Sequence[Point], first: bool) -> str:
    """Return both charts and the table of one measure; the first one includes plotly's script."""
    measure = name.partition(",")[0]
    charts = [over_budget(points, measure), over_time(points, measure)]
    drawn = [
        chart.to_html(full_html=False, include_plotlyjs=first and number == 0)
        for number, chart in enumerate(charts)
    ]
    return f"<h2>{escape(name)}</h2>{''.join(drawn)}{table(points)}"


def table(points: Sequence[Point]) -> str:
    """Return every point as a row; points of the Pareto front have a star."""
    front = set(map(id, pareto(points)))
    names = list(dict.fromkeys(name for p in points for name, _ in p.details))
    head = ["method", "position ids", "budget", "tokens left", "questions", "value",
            "95 % interval", "first token", "of full", "prefill by formula", "total", "KV cache",
            *names]  # fmt: skip
    full = next((p for p in points if not p.method), None)
    rows = [
        [
            f"{p.series}{' ★' if id(p) in front else ''}",
            p.positions,
            p.budget,
            f"{p.tokens_left:.1f}",
            str(p.questions),
            percent(p.quality.value, 1),
            f"{percent(p.quality.low, 1)} to {percent(p.quality.high, 1)}",
            f"{p.seconds:.3f} s",
            of_full(p, full),
            "" if p.prefill_share is None else percent(p.prefill_share),
            f"{p.seconds_total:.3f} s",
            f"{p.kv_bytes / 1e6:.2f} MB",
            *(f"{dict(p.details)[name]:.4g}" if name in dict(p.details) else "" for name in names),
        ]
        for p in points
    ]
    heads = "".join(f"<th{_number(i)}>{escape(text)}</th>" for i, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{_number(i)}>{escape(t)}</td>" for i, t in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{heads}</tr>{body}</table></div>{LEGEND}'


def of_full(point: Point, full: Point | None) -> str:
    """Return the time to the first token relative to all tokens, with its spread."""
    if full is None or point is full:
        return ""
    ratio = point.against(full)
    return "too few questions" if ratio is None else ratio.text()


def _number(column: int) -> str:
    return ' class="number"' if column > 2 else ""


def failures(found: Sequence[tuple[str, int]]) -> str:
    """Return the list of rows without an answer, by reason."""
    if not found:
        return ""
    items = "".join(f"<li>{count} × {escape(text)}</li>" for text, count in found)
    return f"<h2>Without an answer</h2><ul>{items}</ul>"


def flips(report: SweepReport) -> str:
    """Return the questions that were answered differently, each with a link or a command."""
    if not report.flips:
        return "<h2>Flips</h2><p>No setting changed an answer.</p>"
    rows = "".join(_flip(flip, report.lab) for flip in report.flips)
    more = f'<p class="note">{report.left_out:,} more are in rows.parquet.</p>'
    return (
        "<h2>Flips</h2><p>Questions that a setting answers differently from the full model.</p>"
        '<div class="scroll"><table><tr><th></th><th>question</th><th>truth</th>'
        "<th>full model</th><th>with the setting</th><th>setting</th><th>see it</th></tr>"
        f"{rows}</table></div>{more if report.left_out else ''}"
    )


def _flip(flip: Flip, lab: str) -> str:
    picture = f'<img alt="" src="{escape(flip.thumbnail)}">' if flip.thumbnail else ""
    turn = f'<span class="{flip.turn}">{TURNS[flip.turn]}</span>'
    if flip.example:
        query = urlencode({"example": flip.example, "lane": flip.lane})
        address = lab.rstrip("/") + f"/?{query}"
        see = f'<a href="{escape(address)}">open in the lab</a>'
    else:
        see = f"<code>{escape(flip.command)}</code>"
    cells = [escape(text) for text in (flip.prompt, flip.truth, flip.full)]
    cells.append(f"{escape(flip.answer)}<br><small>{turn}</small>")
    cells.append(f"{escape(flip.setting)}<br><small>{escape(flip.model)}</small>")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (picture, *cells, see)) + "</tr>"
