"""The header of the page: name, places, one sentence, and the buttons of its modes."""

LEAD = "What does a vision-language model really use of a picture?"
PLACES = "".join(
    f'<a href="#{place}">{name}</a>'
    for place, name in {
        "tv-compare": "Compare",
        "tv-debug": "Debug a hallucination",
    }.items()
)
"""Two places of the page; what lies between and behind them is found there."""
HEADER = (
    '<header class="tv-header"><h1>tok<span>viz</span></h1>'
    f'<nav aria-label="On this page">{PLACES}</nav><p>{LEAD}</p>'
    '<span class="tv-modes"><button id="tv-lessons-button" type="button">Lessons</button>'
    '<button id="tv-present" class="tv-projected" type="button" aria-pressed="false">'
    'Present</button><button id="tv-display" type="button" aria-expanded="false">'
    "Display</button></span></header>"
)
"""HTML; its texts are keys of the tables of assets/i18n."""
