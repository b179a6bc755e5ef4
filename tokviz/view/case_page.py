"""One examined answer as a web page in a single file: no script, nothing fetched, all escaped."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from tokviz.errors import InputError
from tokviz.trace import Trace
from tokviz.view.lanes import cut_off, statuses
from tokviz.view.page_file import MAX_BYTES
from tokviz.view.run_facts import seen_sentence
from tokviz.view.run_names import POSITIONS, run_name

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 0 auto; padding: 20px; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 28px 0 8px; }
img { max-width: min(100%, 420px); border-radius: 8px; }
table { border-collapse: collapse; font-size: 0.9rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-top: 1px solid #8886; }
mark { background: #ffe08a; color: #111; border-radius: 3px; padding: 0 3px; }
figure { display: inline-block; margin: 0 16px 8px 0; } figcaption { font-size: 0.88rem; }
.fine { opacity: 0.75; font-size: 0.88rem; } del { opacity: 0.6; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


Say = Callable[[str], str]
"""Gives a text of this page in the reader's language; words of pictures and answers stay."""


def case_page(case: Mapping[str, Any], trace: Trace, say: Say = str, language: str = "en") -> str:
    """Return the page of a case.

    Args:
        case: the desk's value: prompt, answer, note, flags, how_often, words, forced, found,
            mitigations.
        trace: the run whose answer was examined.
        say: gives the texts in the reader's language.
        language: that language, as in HTML's `lang`.

    Raises:
        InputError: larger than 5 MB.
    """
    parts = [
        f"<h1>{escape(str(case['prompt']))}</h1>",
        *(_image(_jpeg(trace.images[0]), say("the picture")) if trace.images else ()),
        f"<p><b>{escape(say('Answer:'))}</b> {_answer(case['words'])} "
        f"{escape(say(cut_off(trace.finish).strip()))}</p>",
        f'<p class="fine">{escape(say(case["flags"]))} {escape(say(case["how_often"]))} '
        f"{escape(say(str(case.get('note', ''))))}</p>",
        f"<h2>{escape(say('Word by word'))}</h2>",
        *(_word(one, say) for one in case["words"]),
        *_section("Another word was forced", case["forced"], _outcome, say),
        *_section("Which tokens the answer depends on", case["found"], _proof, say),
        *_section("Mitigations", case["mitigations"], _outcome, say),
        f'<p class="fine">{escape(say(f"The model {seen_sentence(trace)}."))}</p>',
        *(f'<p class="fine">{escape(say(one))}</p>' for one in made_by(trace)),
    ]
    title = escape(f"tokviz case: {case['prompt']}"[:120])
    text = (
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )
    if len(text.encode()) > MAX_BYTES:
        raise InputError("this case does not fit into a page of 5 MB; save its trace instead.")
    return text


def _section(title: str, items: Sequence[Mapping[str, Any]], show: Any, say: Say) -> list[str]:
    return [f"<h2>{escape(say(title))}</h2>", *(show(one, say) for one in items)] if items else []


def _answer(words: Sequence[Mapping[str, Any]]) -> str:
    texts = [(escape(word["text"]), word["flagged"]) for word in words]
    return " ".join(f"<mark>{text}</mark>" if flagged else text for text, flagged in texts)


def _word(word: Mapping[str, Any], say: Say) -> str:
    rows = "".join(
        f"<tr><th>{escape(say(name))}</th><td>{escape(say(value))}</td>"
        f"<td>{escape(say(title))}</td></tr>"
        for name, value, title in word["facts"]
    )
    others = ", ".join(
        f"{escape(one['text'].strip() or say('(space)'))} {one['probability']:.3f}"
        for one in word["candidates"]
    )
    sign = "⚑ " if word["flagged"] else ""
    opened = " open" if word["flagged"] else ""
    return (
        f"<details{opened}><summary>{sign}<b>{escape(word['text'])}</b>: "
        f"{escape(say(word['reason']))}</summary><table>{rows}</table>"
        f"<p>{escape(say('Candidates:'))} {others}</p>"
        f"{''.join(_map(one, say) for one in word.get('maps', ()))}</details>"
    )


def _map(one: Mapping[str, str], say: Say) -> str:
    title = say(one["title"])
    picture = "".join(_image(one["picture"], title))
    caption = f"{escape(title)}: {escape(say(one['note']))}"
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _outcome(one: Mapping[str, Any], say: Say) -> str:
    tags = {"added": "ins", "removed": "del"}
    words = []
    for word in one["words"]:
        tag, text = tags.get(word["mark"]), escape(word["text"])
        words.append(f"<{tag}>{text}</{tag}>" if tag else text)
    cost = f' <span class="fine">{escape(say(one["cost"]))}</span>' if one.get("cost") else ""
    right = {True: "It is right.", False: "It is wrong.", None: ""}[one.get("right")]
    verdict = f"{say(one['verdict'])} {say(right)}".strip()
    return (
        f"<p><b>{escape(say(one['title']))}</b> ({escape(verdict)}{cost})<br>{' '.join(words)}</p>"
    )


def _proof(found: Mapping[str, Any], say: Say) -> str:
    texts = " ".join(escape(say(found[name])) for name in ("said", "note", "spent"))
    picture = _image(found["picture"], say("what was left of the picture"))
    return f"<p>{texts}</p>{''.join(picture)}"


def _image(url: str, name: str) -> list[str]:
    return [f'<img src="{escape(url)}" alt="{escape(name)}">'] if url else []


def _jpeg(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def made_by(trace: Trace) -> list[str]:
    """Return who made the run, from how many tokens, and how close it came to its publication."""
    whole, left = trace.whole_n, trace.reduction.m
    kept = f"{left} of {whole}" if trace.stages or whole > left else f"{whole}"
    if trace.model.get("imported"):
        lead = f"Decisions of {trace.source}, {kept} visual tokens. "
        return [f"{lead}Made with tokviz; no model was run here."]
    name, dtype = trace.model.get("name", "unknown"), trace.model.get("dtype", "")
    date = f", {trace.model['date']}" if trace.model.get("date") else ""
    policies = [POSITIONS[one][0] for one in trace.model.get("positions") or () if one in POSITIONS]
    where = f", position ids {', '.join(dict.fromkeys(policies))}" if policies else ""
    run = f"{name} ({dtype}){date}: {run_name(trace)}, {kept} visual tokens{where}"
    return [f"Model: {run}. Made with tokviz; every answer was run.", *statuses(trace)]
