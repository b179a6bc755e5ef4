"""POPE's questions for any set of annotated images: which absent things to ask about?

Half of the questions ask for things in the image. The other half ask for absent things: drawn at
random, the most frequent of the data set, or those that occur most often together with the things
in the image (arXiv 2305.10355). The official builder replaces every "a" of the wording before a
vowel ("imange"); here only the article before the object changes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tokviz.errors import InputError
from tokviz.evaluation.pope import PopeQuestion

SPLITS = ("random", "popular", "adversarial")
TEMPLATE = "Is there a {} in the image?"


def ask_about(
    images: Mapping[str, Iterable[str]],
    split: str,
    per_image: int = 3,
    seed: int = 0,
    template: str = TEMPLATE,
    names: Sequence[str] = (),
) -> list[PopeQuestion]:
    """Return up to 2 * per_image questions for each image, present and absent things in turn.

    Args:
        images: image name -> the objects in it.
        split: random, popular or adversarial.
        per_image: questions with the answer yes, and as many with no; fewer if an image has fewer
            objects, so that both halves stay equal.
        seed: draws present things and random absent ones.
        template: wording with one {} after the article "a".
        names: every object that may be asked for; default all that occur in the images.

    Raises:
        InputError: an unknown split, or per_image below 1.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {', '.join(SPLITS)}, got {str(split)[:40]!r}.")
    if per_image < 1:
        raise InputError(f"per_image must be 1 or more, got {per_image}.")
    rng = random.Random(seed)
    there = {image: sorted(set(objects)) for image, objects in images.items()}
    known = sorted(set(names) | {name for objects in there.values() for name in objects})
    frequent = Counter(name for objects in there.values() for name in objects)
    together = _together(there)
    asked: list[PopeQuestion] = []
    for image, objects in there.items():
        absent = [name for name in known if name not in objects]
        rng.shuffle(absent)
        if split == "popular":
            absent.sort(key=lambda name: (-frequent[name], name))
        if split == "adversarial":
            absent = _companions(objects, absent, together)
        count = min(per_image, len(objects), len(absent))
        for yes, no in zip(rng.sample(objects, count), absent[:count], strict=True):
            for name, label in ((yes, "yes"), (no, "no")):
                asked.append(PopeQuestion(len(asked) + 1, image, _wording(template, name), label))
    return asked


def _together(there: Mapping[str, Sequence[str]]) -> dict[str, Counter[str]]:
    """Count in how many images two objects occur together."""
    counts: dict[str, Counter[str]] = {}
    for objects in there.values():
        for name in objects:
            counts.setdefault(name, Counter()).update(other for other in objects if other != name)
    return counts


def _companions(
    objects: Sequence[str], absent: Sequence[str], together: Mapping[str, Counter[str]]
) -> list[str]:
    """Sort absent names: first the most frequent companion of each present thing, then its next."""
    closest = [sorted(absent, key=lambda name: (-together[t][name], name)) for t in objects]
    return list(dict.fromkeys(name for rank in zip(*closest, strict=True) for name in rank))


def _wording(template: str, name: str) -> str:
    """Fill in the object, with "an" before a vowel."""
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return template.replace(" a {}", f" {article} {{}}").format(name)
