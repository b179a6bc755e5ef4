"""What one run is about: the model, what it saw of the picture, the method, the parts' sizes.

Every view, figure, trace and report names these, so that a picture that leaves the page still says
what it shows.
"""

from __future__ import annotations

from typing import Any

from tokviz.trace import Trace
from tokviz.view.run_names import mitigation_name, stage_name


def unseen_share(trace: Trace) -> float:
    """Return the share of the pictures' area that no visual token covers, 0 to 1."""
    return trace.layout.unseen_share


def seen_sentence(trace: Trace) -> str:
    """Return what the model saw of the picture, such as "12 % of this picture was cropped away"."""
    share, count = unseen_share(trace), len(trace.layout.sizes)
    what = "this picture" if count == 1 else f"these {count} pictures"
    what = "the frames" if trace.layout.is_film else what
    if share <= 0:
        return f"saw all of {what}"
    percent = "<1 %" if share < 0.005 else f"{100 * share:.0f} %"
    return f"{percent} of {what} was cropped away"


def run_facts(trace: Trace) -> dict[str, Any]:
    """Return what a run is about, as numbers and names.

    Returns:
        {model, unseen, methods, mitigation, keep, n, date, parts}: `unseen` is a share of the
        pictures' area, `keep` the visual tokens that are left of `n`, `parts` the sizes as
        `pipeline_sizes` gives them.
    """
    methods = [stage_name(trace, stage.method) for stage in trace.stages]
    return {
        "model": trace.source,
        "unseen": round(unseen_share(trace), 4),
        "methods": list(dict.fromkeys(methods)),
        "mitigation": mitigation_name(trace),
        "keep": trace.reduction.m,
        "n": trace.n,
        "date": str(trace.model.get("date") or ""),
        "parts": pipeline_sizes(trace),
    }


def facts_line(trace: Trace) -> str:
    """Return the facts of a run in one line, for files and reports."""
    facts = run_facts(trace)
    method = " + ".join(facts["methods"]) or "nothing removed"
    parts = [
        facts["model"] or "a model without a name",
        seen_sentence(trace),
        f"{method}, {facts['keep']} of {facts['n']} visual tokens",
        f"with {facts['mitigation']}" if facts["mitigation"] else "",
        f"run on {facts['date']}" if facts["date"] else "",
    ]
    return " · ".join(filter(None, parts))


def pipeline_sizes(trace: Trace) -> dict[str, Any]:
    """Return the sizes of the parts from the picture to the answer; None where one is not known.

    Returns:
        {pictures, frames, width, height, grid, patch, tower_layers, tower_width, tokens, hidden,
        layers, left, text, answer}: sizes in pixels, [rows, cols] of the first tile, and counts of
        tokens. `frames` of a film are counted singly, also where two share tokens; 0 = no film.
    """
    layout, model = trace.layout, trace.model
    width, height = layout.sizes[0] if layout.sizes else (None, None)
    tile = layout.tiles[0] if layout.tiles else None
    return {
        "pictures": len(layout.sizes),
        "frames": len({second for tile in layout.tiles for second in tile.time or ()}),
        "width": width,
        "height": height,
        "grid": [tile.rows, tile.cols] if tile else None,
        "tiles": len(layout.tiles),
        "patch": model.get("patch_size"),
        "tower_layers": model.get("tower_layers"),
        "tower_width": model.get("tower_width"),
        "tokens": trace.n,
        "hidden": model.get("hidden_size"),
        "layers": model.get("layers"),
        "left": trace.reduction.m,
        "text": max(len(trace.prompt_tokens) - trace.n, 0) or None,
        "answer": trace.t,
    }
