r"""The text of an answer to a multiple-choice question, without markup.

Markdown, LaTeX, tags and quotes around a letter are taken off, look-alike letters of other scripts
become the Latin ones, and letters that are denied become a sign that is no letter.
"""

from __future__ import annotations

import re
import unicodedata

from tokviz.evaluation.exact import checked_text

DENIED = "\u2205"
"""Stands where a denied letter was."""
THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|$)", re.S | re.I)
ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.S | re.I)
TAG = re.compile(r"</?[A-Za-z]+/?>")
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}?")
TEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|textit|operatorname)\s*\{([^{}]*)\}")
MARKED = re.compile(r"(\*\*\*|\*\*|__|\*|_|`)\s*([A-Za-z])\s*[.):]?\s*\1")
QUOTED = re.compile(r"(?<!\w)(?:\"|'|“|‘|«)([A-Z])[.)]?(?:\"|'|”|’|»)(?!\w)")
LINE_MARK = re.compile(r"^[ \t]*(?:(?:#{1,6}|[-+*•‣>–—])\s*(?=[(\[A-Za-z])|\d{1,2}[.)]\s+)", re.M)
SIGNS = re.compile(r"[*_`$\"“”«»]|\\[()\[\]]")

LATIN, CYRILLIC, GREEK = "ABCEHIKMOPTXYZNJS", "АВСЕНІКМОРТХУ..ЈЅ", "ΑΒϹΕΗΙΚΜΟΡΤΧΥΖΝ.."
"""Capitals that look alike, in the same order; "." where a script has none."""
LOOK_ALIKES = {
    other: latin
    for script in (CYRILLIC, GREEK)
    for latin, other in zip(LATIN, script, strict=True)
    if other != "."
}
ALONE = re.compile(
    rf"(?<![^\W_])[{''.join(LOOK_ALIKES)}](?![^\W_]|\s+[\u0370-\u03ff\u0400-\u04ff])"
)

DENYING = (
    r"(?:\b(?:not|neither|nor|never|no|cannot be|rather than|instead of|other than|except"
    r"|excluding|rules? out|ruled out|eliminates?|excludes?)|n't(?: be)?)"
)
NAMED = r"(?:(?:be|the|an?|option|choice|answer|letter)\s+)*"
WRONG = (
    r"\s*(?:(?:is|was|are|were|seems|looks|appears)\s+(?:\w+ly\s+)?(?:to be\s+)?"
    r"(?:not|never|wrong|incorrect|false|untrue|impossible|ruled out|no\b)"
    r"|(?:is|was|does|can|could|would)n't\b|cannot\b|can not\b)"
)


def boxed(answer: str) -> list[str]:
    r"""Return what stands in boxes, \boxed{B}."""
    return [match[1].strip() for match in BOX.finditer(checked_text(answer))]


def plain(answer: str, letters: str) -> str:
    """Return an answer as text that `choice_letters` reads.

    Args:
        answer: as the model wrote it.
        letters: those of the options.

    Raises:
        InputError: no text.
    """
    text = unicodedata.normalize("NFKC", checked_text(answer)).replace("\u2019", "'")
    text = THINKING.sub("", text)
    text = (ANSWER.findall(text) or [text])[-1]
    while TEX.search(text):
        text = TEX.sub(r"\1", text)
    text = LINE_MARK.sub("", QUOTED.sub(r"(\1)", MARKED.sub(r"(\2)", text)))
    text = SIGNS.sub("", TAG.sub("", text)).replace("【", "[").replace("】", "]")
    text = ALONE.sub(lambda match: LOOK_ALIKES[match[0]], text)
    return without_denied(text.strip(), letters)


def without_denied(text: str, letters: str) -> str:
    """Return a text in which a sign stands for each letter that is denied."""
    one = rf"[(\[]?[{letters}][)\]]?(?![\w'])"
    more = rf"(?:\s*(?:,\s*(?:n?or\s+)?|n?or\s+){one})*"
    # letters are capitals: only the words around them may be written either way
    text = re.sub(rf"((?i:{DENYING}\s+{NAMED})){one}{more}", rf"\1{DENIED}", text)
    return re.sub(rf"(?<![\w']){one}(?=(?i:{WRONG}))", DENIED, text)
