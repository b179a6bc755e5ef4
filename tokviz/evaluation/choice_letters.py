"""The letter that the plain text of an answer names, by the rules of `choice.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SEVERAL = "?"
"""Stands for several letters."""
ANSWER_WORDS = (
    r"(?i:\b(?:answer|ans|option|choice|letter|antwort|lösung|respuesta|opción|réponse|resposta"
    r"|opção|risposta|ответ|вариант|απάντηση|επιλογή)\b|答案|选项|選項|选择|選擇|选|選|正解|答え|정답|답)"
)
BETWEEN = (
    r"(?i:(?:\s+(?:is|was|are|would|should|must|be|to|the|correct|right|best|option|choice|letter"
    r"|answer|here|probably|likely|most|clearly|definitely|therefore|thus|ist|lautet|es|est|la|é|è"
    r"|είναι)\b)*)"
)
LONG = r"(?i:[^.!?\n:]{0,60}?\s(?:is|be)\s+(?:the\s+)?(?:option\s+|choice\s+|letter\s+)?)"
LINK = r"\s*(?:是|为|為|は|은|는)?\s*(?:[:=>.]|[-\u2013\u2014]+>?|\u2192)?\s*"
NAMED = tuple(re.compile(ANSWER_WORDS + after) for after in (BETWEEN + LINK, LONG))
NO_WORD = r"(?!(?![选選项項是が는은はで입이])[\w'-])"
"""Not before a letter, except for the first ones of Chinese, Japanese and Korean words."""
FURTHER = r"(?:or\b|and\b|oder\b|und\b|,|/|&|\+)"
"""The text between two letters of one answer."""
END = r"\s*[.!)\]}]*\s*(?:$|\n)"
SAID = (
    r"(?i:\b(?:it|that|this)(?:'s|\s+is|\s+was|\s+(?:must|would|should|may|might|could|can only)"
    r"\s+be)|\b(?:choose|chose|pick|picked|select|selected|say|guess|go with|going with|go for|but"
    r"|rather|therefore|hence|thus|so|think|believe|probably|definitely))"
    r"(?i:\s+(?:probably|likely|clearly|definitely|most likely|the))*\s+(?i:(?:option|letter)\s+)?"
)
RIGHT = (
    r"\s+(?:is|was|seems|looks|appears)\s+(?:\w+ly\s+)?(?:to be\s+)?(?:the\s+)?(?:most\s+|one\s+)?"
    r"(?:correct|right|best|true|accurate|appropriate|answer)\b"
)


def letter_of(text: str, boxes: Sequence[str], letters: str) -> str:
    """Return the letter that an answer names; SEVERAL for several letters, "" for none.

    Args:
        text: from `choice_text.plain`.
        boxes: what stands in boxes, from the same function.
        letters: those of the options.
    """
    for inside in reversed(boxes):
        found = _first(inside.strip(" .()"), letters)
        if found:
            return found.upper()
    listed = _listed(text, letters)
    rules = (_named, _bracketed, _said) if listed else (_first, _named, _bracketed, _said)
    found = next(filter(None, (rule(text, letters) for rule in rules)), "")
    return found.upper() or (SEVERAL if listed else "")


def _listed(text: str, letters: str) -> bool:
    """Return whether an answer lists several options, each with its letter."""
    found = re.findall(rf"(?:^|\s)[(\[]?([{letters}])[).:\]]\s*(?=[^\W_])", text)
    return len(set(found)) > 1


def _first(text: str, letters: str) -> str:
    """Return the letter that a text begins with."""
    both, one = letters + letters.lower(), rf"[(\[]?[{letters}]"
    if re.match(rf"{one}[)\]]?\s*{FURTHER}\s*(?i:maybe |perhaps )?{one}\b", text):
        return SEVERAL
    sign = r"[).:\]、。](?:(?!\w)|\s*(?=\w\w))|\s*\n"  # not in "a.m."
    found = re.match(rf"[(\[]\s*([{both}])\s*[)\]]|([{both}])\s*(?:{sign}|$)", text)
    if found:
        return found[1] or found[2]
    plain = "".join(letter for letter in letters if letter not in "AI")
    found = re.match(rf"([{plain}]){NO_WORD}(?!\.\w)", text) if plain else None
    words = r"\s+(?:is|because|since|as it|rather|instead|not)\b|\s*[,;\u2013\u2014]|\s+-\s"
    return (found or re.match(rf"([{letters}])(?={words}|[选選项項是])", text) or [""] * 2)[1]


def _named(text: str, letters: str) -> str:
    """Return the letter that is called the answer or the option."""
    ends = r"\s*(?:[).,:;!?}\]。、]|$|\n|because\b|since\b|as\b|for\b|is\b|and\b|or\b|-\s)"
    letter = re.compile(
        rf"[(\[]\s*([{letters}{letters.lower()}])\s*[)\]]"
        rf"|([{letters}]){NO_WORD}(?={ends}|\s+[A-Z(]|[选選项項是])"
        rf"|([{letters.replace('A', '').replace('I', '') or '~'}]){NO_WORD}"
        rf"|([{letters.lower()}])(?=\s*(?:[.),!}}\]]?\s*$|\)))"
    )
    found = []
    for start in (match for pattern in NAMED for match in pattern.finditer(text)):
        named = letter.match(text, start.end())
        if named:
            found.append(next(filter(None, named.groups())).upper())
            found += _further(text[named.end() :], letters)
    return _only(found)


def _bracketed(text: str, letters: str) -> str:
    """Return the letter in brackets; "" if there is none or several."""
    both = letters + letters.lower()
    found = re.finditer(rf"(?<!\w)[(\[]([{both}])[)\]]", text)
    return _only(m[1].upper() for m in found)


def _said(text: str, letters: str) -> str:
    """Return the letter that is called right or chosen, or that ends a line after a sign."""
    some = letters + letters.lower().replace("a", "").replace("i", "")
    ends = rf"(?={END}|\s*[,;]|\s+(?:because|since|as|or|and|-)\b|\s+[-\u2013\u2014]\s)"
    found = [*re.finditer(rf"{SAID}([{some}]){NO_WORD}{ends}", text)]
    found += re.finditer(rf"(?:[,:;=\n]\s*|[.!?]\s+|(?:->|\u2192)\s*)([{some}])(?={END})", text)
    found += re.finditer(rf"(?<![\w'])([{letters}])(?i:{RIGHT}|\s+is{END})", text)
    found += re.finditer(rf"\n\s*[(\[]?([{letters}])[).:\]]\s+(?=[^\W_])", text)
    more = [letter for match in found for letter in _further(text[match.end(1) :], letters)]
    return _only([*(match[1].upper() for match in found), *more])


def _further(rest: str, letters: str) -> list[str]:
    """Return the letter that follows another one as a part of the same answer."""
    found = re.match(rf"\s*{FURTHER}\s*[(\[]?([{letters}]){NO_WORD}", rest)
    return [found[1]] if found else []


def _only(found: Iterable[str]) -> str:
    letters = set(found)
    return "" if not letters else letters.pop() if len(letters) == 1 else SEVERAL
