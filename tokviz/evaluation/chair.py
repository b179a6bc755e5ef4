"""CHAIR: which things does a description mention that are not in the picture?

arXiv 1809.02156, repository LisaAnne/Hallucination. A mention is any word of an object list or its
synonyms; the first name of a line is the object. Repeated mentions count each time.

    CHAIR_i = hallucinated mentions / all mentions
    CHAIR_s = descriptions with at least one hallucinated mention / descriptions
    recall  = things present and mentioned / things present, summed over images (as in PAI's code)

A possessive ("the dog's tail", "the dogs' tails") mentions its owner, as in the official script.
That script finds singulars with a library, and has 80 COCO objects and a few rules ("baby bear" is
a bear and not a person, "toilet seat" is not a seat). Here the caller gives the list: the possible
singular forms of a word are looked up in it, the longest phrase wins, and the rules are `phrases`
and `unless`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tokviz.errors import InputError
from tokviz.evaluation.exact import checked_list, checked_text, words_of
from tokviz.git_lfs import HEAD, is_pointer, pointer_text
from tokviz.text.characters import APOSTROPHES
from tokviz.text.lines import lines_of

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "oxen": "ox",
}  # fmt: skip


@dataclass(frozen=True)
class ObjectList:
    """Objects that can be mentioned, with their synonyms."""

    canonical: Mapping[str, str]
    "Name or synonym, lower case, one word or several -> the object it means."
    phrases: Mapping[str, str] = field(default_factory=dict)
    'Phrases that mean something else than their words: "baby bear" -> "bear"; "" = nothing.'
    unless: Mapping[str, str] = field(default_factory=dict)
    'Words that mean nothing in a text that holds another word: "seat" -> "toilet".'

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[str],
        phrases: Mapping[str, str] | None = None,
        unless: Mapping[str, str] | None = None,
    ) -> ObjectList:
        """Read a list in the official form: one object per line, synonyms after commas.

        Raises:
            InputError: a synonym of two objects, or no object at all.
        """
        canonical: dict[str, str] = {}
        for line in checked_list(lines, "an object list", "a list of lines"):
            names = [" ".join(plain(name).split()) for name in line.split(",") if name.strip()]
            for name in names:
                if canonical.setdefault(name, names[0]) != names[0]:
                    raise InputError(f"{name!r} means both {canonical[name]!r} and {names[0]!r}.")
        if not canonical:
            raise InputError("an object list needs at least one name.")
        return cls(canonical, dict(phrases or {}), dict(unless or {}))

    @classmethod
    def read(cls, path: str | Path, **rules: Mapping[str, str]) -> ObjectList:
        """Read a synonym file such as the official synonyms.txt."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            if is_pointer(text.encode()[: len(HEAD)]):
                raise InputError(f"{pointer_text(Path(path).name)}.")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{Path(path).name} cannot be read as UTF-8 text: {error}.") from error
        return cls.from_lines(lines_of(text), **rules)

    def mentions(self, text: str) -> list[str]:
        """Return the object of every mention, in order, repeats included."""
        words = [word.removesuffix("'s") for word in words_of(plain(text), WORD)]
        longest = max(len(name.split()) for name in (*self.canonical, *self.phrases))
        found, at = [], 0
        while at < len(words):
            for size in range(min(longest, len(words) - at), 0, -1):
                meant = self._meaning(words[at : at + size])
                if meant is not None:
                    hidden = self.unless.get(words[at]) in words if size == 1 else False
                    found += [meant] if meant and not hidden else []
                    at += size
                    break
            else:
                at += 1
        return found

    def objects(self, names: Iterable[str], descriptions: Iterable[str] = ()) -> set[str]:
        """Return the objects present: annotated names, and those in reference descriptions.

        Raises:
            InputError: an annotated name that is not in the list.
        """
        there = set()
        for name in checked_list(names, "the objects of an image", "a list of names"):
            meant = self._meaning(plain(name).split())
            if not meant:
                raise InputError(f"the object {name[:60]!r} is not in the object list.")
            there.add(meant)
        return there.union(*(self.mentions(text) for text in descriptions))

    def _meaning(self, words: Sequence[str]) -> str | None:
        """The object that words mean, "" for a phrase that means none, None if unknown."""
        for last in (words[-1], *singulars(words[-1])):
            name = " ".join([*words[:-1], last])
            meant = self.phrases.get(name, self.canonical.get(name))
            if meant is not None:
                return self.canonical.get(meant, meant)
        return None


@dataclass(frozen=True)
class ChairScores:
    """Counts over all descriptions, and the three numbers."""

    descriptions: int
    with_hallucination: int
    mentions: int
    hallucinated: int
    there: int
    "Objects present, summed over images."
    found: int
    "How many of these were mentioned."
    cut_off: int = 0
    "Descriptions that were cut off before their end, and so may mention less."

    @property
    def chair_i(self) -> float:
        """Share of mentions that are hallucinated; 0 without mentions."""
        return self.hallucinated / self.mentions if self.mentions else 0.0

    @property
    def chair_s(self) -> float:
        """Share of descriptions with a hallucinated mention."""
        return self.with_hallucination / self.descriptions if self.descriptions else 0.0

    @property
    def recall(self) -> float:
        """Share of the objects present that were mentioned."""
        return self.found / self.there if self.there else 0.0

    def as_dict(self) -> dict[str, float]:
        """Return counts and numbers, ready for JSON."""
        numbers = {name: getattr(self, name) for name in ("chair_i", "chair_s", "recall")}
        return {**asdict(self), **numbers}


def chair(
    descriptions: Sequence[str],
    there: Sequence[Iterable[str]],
    objects: ObjectList,
    finishes: Sequence[str] = (),
) -> ChairScores:
    """Score descriptions against what is in their images.

    Args:
        descriptions: one text per image.
        there: per image the objects in it; `ObjectList.objects` adds reference descriptions.
        objects: which words count.
        finishes: why each description ended, a key of `stages.FINISHES`; those that were cut off or
            stopped are counted in `cut_off`.

    Raises:
        InputError: unequal numbers, or an object that is not in the list.
    """
    descriptions = checked_list(descriptions, "descriptions", "a list of texts")
    if not isinstance(there, Sequence):
        raise InputError("give one list of objects for each description.")
    if len(descriptions) != len(there):
        raise InputError(f"{len(descriptions)} descriptions, but {len(there)} sets of objects.")
    truths = [objects.objects(names) for names in there]
    said = [objects.mentions(text) for text in descriptions]
    pairs = list(zip(said, truths, strict=True))
    wrong = [[name for name in names if name not in truth] for names, truth in pairs]
    return ChairScores(
        descriptions=len(said),
        with_hallucination=sum(bool(names) for names in wrong),
        mentions=sum(map(len, said)),
        hallucinated=sum(map(len, wrong)),
        there=sum(map(len, truths)),
        found=sum(len(truth & set(names)) for names, truth in pairs),
        cut_off=sum(finish not in ("", "end") for finish in finishes),
    )


def plain(text: str) -> str:
    """Return a text in lower case and NFC, with one kind of apostrophe."""
    text = unicodedata.normalize("NFC", checked_text(text).lower())
    for sign in APOSTROPHES:
        text = text.replace(sign, "'")
    return text


def singulars(word: str) -> list[str]:
    """Return the possible singular forms of a word, most likely first."""
    found = [IRREGULAR[word]] if word in IRREGULAR else []
    for ending in ("people", "children"):  # salespeople, grandchildren
        if word.endswith(ending) and word != ending:
            found.append(word.removesuffix(ending) + IRREGULAR[ending])
    if word.endswith("men"):
        found.append(word[:-2] + "an")
    if word.endswith("ies"):
        found.append(word[:-3] + "y")
    if word.endswith("ves"):
        found += [word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
    if word.endswith("es"):
        found.append(word[:-2])
    return found
