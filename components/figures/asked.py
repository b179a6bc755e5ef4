"""What a browser asks a figure of, checked: runs, results, numbers, a format and a width."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokviz.budget import real_number
from tokviz.errors import InputError
from tokviz.trace import Trace
from tokviz.view.numbers import percent
from tokviz.view.paper import FORMATS, WIDTHS
from tokviz.view.paper.sheet import has_chinese

from ..i18n import phrase, reader_language, retold
from ..runs.runs import GONE, KeptRun
from ..site import Site

BAD = "this figure cannot be made: the page asked for something unknown."
LEFT = "Method: {methods}, {left} of {n} visual tokens"
CROPPED = "{share} of the picture was cropped away before the model saw it"
STOPS = ("。", "")
"""What ends a sentence of a Chinese caption, and what stands between two."""
MAX_LABEL = 120
MAX_NUMBER = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Asked:
    """What is common to all figures."""

    sent: Mapping[str, Any]
    format: str
    width: str
    caption: bool


def read_asked(sent: Any) -> Asked:
    """Return what a browser sent; raises InputError for a format or a width that there is not."""
    if not isinstance(sent, Mapping):
        raise InputError(BAD)
    if sent.get("format") not in tuple(FORMATS) or sent.get("width") not in tuple(WIDTHS):
        raise InputError(BAD)
    return Asked(sent, str(sent["format"]), str(sent["width"]), bool(sent.get("caption")))


def run_of(site: Site, sent: Mapping[str, Any]) -> KeptRun:
    """Return the run that is named; raises InputError when it is not kept."""
    run = site.run(sent.get("run"))
    if run is None:
        raise InputError(GONE)
    return run


def lane_of_id(site: Site, sent: Mapping[str, Any]) -> tuple[KeptRun, int]:
    """Return run and lane of an id "<run>:<lane>"; raises InputError when they are not kept."""
    found = site.lane(sent.get("id"))
    if found is None:
        raise InputError(GONE)
    return found


def array(sent: Any, dtype: str, n: int) -> np.ndarray | None:
    """Return an array [n] that a browser packed as base64; None = there is none.

    Raises:
        InputError: it is of another length.
    """
    if sent is None:
        return None
    try:
        raw = base64.b64decode(sent, validate=True) if isinstance(sent, str) else b"?"
        found = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<"))
    except (binascii.Error, ValueError) as error:
        raise InputError(BAD) from error
    if len(found) != n:
        raise InputError(BAD)
    return found


def number(sent: Any, default: float) -> float:
    """Return a finite number of float32, or the default."""
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return default
    found = real_number(sent)
    return default if found is None or abs(found) > MAX_NUMBER else found


def whole_numbers(sent: Any) -> list[int]:
    """Return the whole numbers of a list; [] for anything else."""
    return [one for one in sent if type(one) is int] if isinstance(sent, list) else []


def label(sent: Any) -> str:
    """Return a short text of one line."""
    return " ".join(str(sent or "").split())[:MAX_LABEL]


def cropped_share(trace: Trace) -> float:
    """Return the share of all pictures' area that the model did not see."""
    layout = trace.layout
    lost = total = 0.0
    for image, (width, height) in enumerate(layout.sizes):
        total += width * height
        lost += sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in layout.unseen(image))
    return lost / total if total else 0.0


def caption_of(run: KeptRun, trace: Trace, what: str, lane: int | None = None) -> str:
    """Return the caption: question, answer, model, method, budget, and what was not seen."""
    code = figure_language()
    methods = " then ".join(dict.fromkeys(stage.method for stage in trace.stages))
    n, lost = trace.n, cropped_share(trace)
    parts = [
        retold(what, code),
        phrase("Question: “{prompt}”", code, prompt=run.prompt),
        phrase("Answer: “{answer}”", code, answer=trace.answer) if lane is not None else "",
        phrase("Model: {model}", code, model=trace.source or run.model),
        phrase(LEFT, code, methods=methods, left=trace.reduction.m, n=n)
        if methods
        else phrase("All {n} visual tokens", code, n=n),
        phrase(CROPPED, code, share=percent(lost)) if lost > 0.005 else "",
    ]
    stop, gap = STOPS if code == "zh" else (".", " ")
    return gap.join(part.rstrip(".。") + stop for part in parts if part)


def figure_language() -> str:
    """Return the reader's language, or English where no font here has its letters."""
    code = reader_language()
    return code if code != "zh" or has_chinese() else "en"


def file_name(run: KeptRun, what: str, asked: Asked) -> str:
    """Return a file name that says what a figure is."""
    words = [run.example or "picture", what, asked.width]
    bare = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-").lower() for word in words)
    return f"tokviz-{bare[:110]}.{asked.format}"
