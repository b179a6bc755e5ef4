"""The page's texts in several languages. The English text is the key; assets/i18n has the others.

assets/i18n/<language>/page.json holds what the scripts and components say; charts.json,
analyses.json, methods.json, notes.json and messages.json hold what the server says: the library
itself speaks English, and what it said is translated where it is shown
(assets/js/base/translate.js; charts, which Gradio draws, in `told`). Fields in braces stand for
what differs: a name, a number. options.json has the names and choices of options, by their names in
code: words as short as "cut" mean something else elsewhere.

Gradio shows a component's label in the language of the browser, which `gr.I18n` knows. The other
texts of a language are a script of its own, which only a page in that language asks for.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from http.cookies import SimpleCookie
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tokviz.shipped_files import ASSETS

LANGUAGES = {"en": "English", "de": "Deutsch", "zh": "中文", "es": "Español"}
"""Code -> the language's own name."""
KEPT = "tokviz-language"
"""Under which name the browser keeps the chosen language, also as a cookie for the charts."""
GRADIO_CODES = {"zh": ("zh-CN", "zh-TW")}
"""Code -> what Gradio calls the language; under the code itself it would show English labels."""
SAID = ("charts", "analyses", "methods", "notes", "messages")
"""Tables of texts that the server says; the scripts' own are in `page`."""
NUMBERS = ("count", "number")
"""Fields that hold numbers only, so that a text as short as "{count} tokens" fits no other."""
LISTED = ("why",)
"""Fields that may hold several reasons in a row, with REASONS between."""
REASONS = "; "
VERBATIM = ("text", "words", "word", "truth", "before", "after", "name", "names", "question")
"""Fields that hold words of pictures, prompts, answers and files: they are never translated."""
FIELD = re.compile(r"\\\{(\w+)\\\}")


@cache
def table(code: str, name: str) -> dict[str, str]:
    """Return one table of a language: English text -> its translation."""
    return dict(json.loads((ASSETS / "i18n" / code / f"{name}.json").read_text("utf-8")))


@cache
def tables() -> dict[str, dict[str, str]]:
    """Return language -> the scripts' English texts -> translations; English itself is left out."""
    return {code: table(code, "page") for code in LANGUAGES if code != "en"}


@cache
def said(code: str) -> dict[str, str]:
    """Return the translations of what the server says, of all tables together."""
    return {english: text for name in SAID for english, text in table(code, name).items()}


@cache
def told_sentences() -> list[str]:
    """Return the sentences of the table `page` that the server writes, with fields."""
    return list(json.loads((ASSETS / "i18n" / "told.json").read_text("utf-8")))


@cache
def translations() -> gr.I18n:
    """Return what `launch` gets as `i18n`."""
    english = {key: key for key in next(iter(tables().values()))}
    return gr.I18n(en=english, **tables())


def translated(english: str) -> Any:
    """Return a component's label in the reader's language."""
    return translations()(english)


def plain(label: Any) -> str:
    """Return a label in English, for errors and logs."""
    return str(getattr(label, "key", label))


def reader_language() -> str:
    """Return the language of whoever sent the event that is being handled; "en" for a program."""
    request = LocalContext.request.get(None)
    headers = getattr(request, "headers", None)
    if not headers:
        return "en"
    kept = SimpleCookie(headers.get("cookie", "")).get(KEPT)
    first = headers.get("accept-language", "").split(",")[0].split("-")[0].strip().lower()
    chosen = kept.value if kept else first
    return chosen if chosen in LANGUAGES else "en"


def told(text: str, code: str) -> str:
    """Return what the server says in a language; a text of no table stays as it is."""
    known = said(code) if code in LANGUAGES and code != "en" else {}
    if not known:
        return text
    if text in known or text in tables()[code]:
        return known.get(text) or tables()[code][text]
    for pattern, other in _patterns(code):
        found = pattern.fullmatch(text)
        if found:
            fields = {name: _field(name, value, code) for name, value in found.groupdict().items()}
            return filled(other, fields)
    return text


def _field(name: str, value: str, code: str) -> str:
    """Return what stands in a field of a text in a language."""
    if name in VERBATIM:
        return value
    return _reasons(value, code) if name in LISTED else told(value, code)


def _reasons(text: str, code: str) -> str:
    """Return a row of reasons in a language; a reason may hold what stands between two itself."""
    parts = text.split(REASONS)
    for count in range(len(parts), 0, -1):
        first = REASONS.join(parts[:count])
        if told(first, code) != first:
            break
    rest = REASONS.join(parts[count:])  # an unknown reason stays as it is
    return REASONS.join([told(first, code), *([_reasons(rest, code)] if rest else [])])


SENTENCES = re.compile(r"(?<=[.!?:]) (?=[A-Z“])")
"""Where a text of several sentences is cut, as assets/js/base/translate.js cuts it."""


def retold(text: str, code: str) -> str:
    """Return what the server says in a language: as a whole, or else sentence by sentence.

    As in the browser, the first letter of a sentence may be a capital one that its table has not.
    """
    return " ".join(_sentence(one, code) for one in _cut(text, code))


def _cut(text: str, code: str) -> list[str]:
    return [text] if _sentence(text, code) != text else SENTENCES.split(text)


def _sentence(text: str, code: str) -> str:
    whole = told(text, code)
    if whole != text or not text:
        return whole
    small = text[0].lower() + text[1:]
    other = told(small, code)
    return other[0].upper() + other[1:] if other != small else text


def phrase(english: str, code: str, **fields: Any) -> str:
    """Return a text of the tables in a language; its fields stay as they are."""
    return filled(told(english, code), {name: str(value) for name, value in fields.items()})


def filled(text: str, fields: Mapping[str, str]) -> str:
    """Return a text with its fields filled in."""
    return re.sub(r"\{(\w+)\}", lambda field: fields[field[1]], text)


@cache
def _patterns(code: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the texts with fields as patterns, those with most fixed letters first."""
    known = {**{one: tables()[code][one] for one in told_sentences()}, **said(code)}
    keys = sorted((key for key in known if "{" in key), key=len, reverse=True)
    return [(re.compile(FIELD.sub(as_group, re.escape(key)), re.S), known[key]) for key in keys]


def as_group(field: re.Match[str]) -> str:
    """Return what stands for a field: a number where its name says so, else any text."""
    return f"(?P<{field[1]}>{'[0-9][0-9.,]*' if field[1] in NUMBERS else '.*?'})"


def saved_page_texts(code: str) -> dict[str, Any]:
    """Return what gives a saved page its texts, without those of the menus of methods."""
    names = ("charts", "analyses", "messages")
    shown = {english: text for name in names for english, text in table(code, name).items()}
    languages = {"__tokvizLanguages": {"names": {}, "language": code}}
    return {**_page_texts(code), "__tokvizSaid": shown, **languages}


@cache
def texts_script(code: str) -> bytes:
    """Return the script that gives a page its texts in a language."""
    given = {
        **_page_texts(code),
        "__tokvizSaid": said(code),
        "__tokvizOptions": table(code, "options"),
    }
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    return f"Object.assign(globalThis, {text});\n".encode()


def _page_texts(code: str) -> dict[str, Any]:
    return {
        "__tokvizTexts": tables()[code],
        "__tokvizTold": told_sentences(),
        "__tokvizFields": {
            "numbers": NUMBERS,
            "verbatim": VERBATIM,
            "listed": LISTED,
            "between": REASONS,
        },
    }


@cache
def versions() -> dict[str, str]:
    """Return language -> a name that changes with its texts."""
    return {code: hashlib.sha256(texts_script(code)).hexdigest()[:12] for code in tables()}


async def serve_texts(request: Request) -> Response:
    """Serve the texts of one language as a script; its address names its version."""
    code = str(request.path_params["code"])
    if code not in tables():
        return PlainTextResponse("There are no texts of this language.\n", 404)
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    body = texts_script(code)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = _packed(code)
    return Response(body, headers=headers, media_type="text/javascript; charset=utf-8")


@cache
def _packed(code: str) -> bytes:
    return gzip.compress(texts_script(code), 6, mtime=0)


def texts_route() -> Route:
    """Return the route of the texts, which `language_script` asks for."""
    return Route("/texts/{code}.js", serve_texts)


def language_script() -> str:
    """Return the script that gives out a chosen language as that of the browser, and fetches it.

    Chinese is given out under a name that Gradio has for it. The script has to run before Gradio
    asks the browser (components/server/chosen_language.py), and the texts have to be there before
    the page's own scripts draw anything.
    """
    codes = json.dumps(list(LANGUAGES))
    return (
        "(() => {\n"
        "let kept = null;\n"
        f"try {{ kept = localStorage.getItem({KEPT!r}); }} catch {{ kept = null; }}\n"
        f"const chosen = {codes}.includes(kept);\n"
        f"if (chosen) document.cookie = '{KEPT}=' + kept + '; path=/; SameSite=Lax';\n"
        "const wanted = chosen ? kept : navigator.language || 'en';\n"
        "const own = wanted.split('-')[0].toLowerCase();\n"
        f"const names = {json.dumps(GRADIO_CODES)}[own] || [wanted];\n"
        "const given = names.includes(wanted) ? wanted : names[0];\n"
        "if (given !== navigator.language)\n"
        "Object.defineProperty(navigator, 'language', { get: () => given, configurable: true });\n"
        f"const versions = {json.dumps(versions())};\n"
        "if (own in versions) document.write('<script src=\"texts/' + own + '.js?' + "
        "versions[own] + '\"></' + 'script>');\n"
        "})();"
    )


def head_script() -> str:
    """Return the script that tells the page's scripts their language before anything is drawn."""
    names = json.dumps(LANGUAGES, ensure_ascii=False)
    return (
        "(() => {\n"
        f"const names = {names};\n"
        "const own = (navigator.language || 'en').split('-')[0].toLowerCase();\n"
        "const language = own in names ? own : 'en';\n"
        f"globalThis.__tokvizLanguages = {{ names, language, kept: {KEPT!r} }};\n"
        "document.documentElement.lang = language;\n"
        "})();"
    )
