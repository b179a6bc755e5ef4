"""The page's texts in several languages. The English text is the key; assets/i18n has the others.

Gradio shows a component's label in the language of the browser, which `gr.I18n` knows; the scripts
of the page read the same tables (assets/js/base/translate.js). Of the sentences that the server
writes, those of assets/i18n/told.json are translated on the page; others (errors, what is known of
methods, charts) stay English.
"""

import json
from functools import cache
from typing import Any

import gradio as gr

from tokviz.shipped_files import ASSETS

LANGUAGES = {"en": "English", "de": "Deutsch", "zh": "中文", "es": "Español"}
"""Code -> the language's own name."""
KEPT = "tokviz-language"
"""Under which name the browser keeps the chosen language."""


@cache
def tables() -> dict[str, dict[str, str]]:
    """Return language -> English text -> its translation; English itself is left out."""
    home = ASSETS / "i18n"
    return {
        code: json.loads((home / f"{code}.json").read_text("utf-8"))
        for code in LANGUAGES
        if code != "en"
    }


@cache
def told_sentences() -> list[str]:
    """Return the sentences that the server writes and the page's scripts translate, with fields."""
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


def language_script() -> str:
    """Return the script that gives out a chosen language as that of the browser.

    It has to run before Gradio asks the browser (components/server/chosen_language.py).
    """
    codes = json.dumps(list(LANGUAGES))
    return (
        "(() => {\n"
        "let kept = null;\n"
        f"try {{ kept = localStorage.getItem({KEPT!r}); }} catch {{ kept = null; }}\n"
        f"if ({codes}.includes(kept)) Object.defineProperty(navigator, 'language', "
        "{ get: () => kept, configurable: true });\n"
        "})();"
    )


def head_script() -> str:
    """Return the script that gives the page's scripts their texts before anything is drawn."""
    names = json.dumps(LANGUAGES, ensure_ascii=False)
    told = json.dumps(told_sentences(), ensure_ascii=False).replace("</", "<\\/")
    texts = json.dumps(tables(), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        "(() => {\n"
        f"const names = {names};\nconst texts = {texts};\n"
        "const own = (navigator.language || 'en').split('-')[0].toLowerCase();\n"
        "const language = own in names ? own : 'en';\n"
        "globalThis.__tokvizTexts = texts[language] || {};\n"
        f"globalThis.__tokvizTold = {told};\n"
        f"globalThis.__tokvizLanguages = {{ names, language, kept: {KEPT!r} }};\n"
        "document.documentElement.lang = language;\n"
        "})();"
    )
