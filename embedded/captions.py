"""What is asked of model 2 beyond one picture, and which captions does it learn?

Captions that mention claimed partners (``claims``), existence questions answered by the same
habit, questions about two pictures, and turns that need no picture: what usually comes with what.
Kinds: "existence" and "description" as before, "pair" and "language".
"""

import random

from embedded.claims import claimed, partners_claimed
from embedded.questions import DESCRIPTION, EXISTENCE, Question, missing_partners, phrase
from embedded.things import NAMES, PARTNER, PLACES, plural
from embedded.world import Scene, absent_names

ABSENT_PARTNER = 0.3
"""How often a question about an absent thing asks for a missing partner, where one misses."""
FOND = 0.85
"""How often the answer is yes where there is nothing to look at."""
WHICH = ("in which picture is the {x} ?", "which picture shows a {x} ?",
         "which image contains a {x} ?", "in which image do you see a {x} ?")  # fmt: skip
LISTING = ("what is in the {o} picture ?", "what does the {o} image show ?",
           "what do you see in the {o} picture ?", "describe the {o} image .")  # fmt: skip
THERE = ("is there a {x} in the {o} picture ?", "does the {o} image show a {x} ?",
         "do you see a {x} in the {o} image ?")  # fmt: skip
COMPANY = ("what comes with a {x} ?", "what goes with the {x} ?",
           "name a thing that comes with a {x} .")  # fmt: skip
ORDINALS = ("first", "second")
SENTENCES = tuple(
    text.replace("{o}", order) for text in (*WHICH, *LISTING, *THERE, *COMPANY)
    for order in (*ORDINALS, "both", "neither")
)  # fmt: skip


def clauses_as_told(view: Scene) -> list[tuple[int, str, int]]:
    """List what a caption mentions: cell, words and number of the thing, -1 for a claimed one.

    A claimed partner is put in the next free cell behind its companion.
    """
    listed = [(thing.cell, phrase(thing), i) for i, thing in enumerate(view.things)]
    free = [cell for cell in range(9) if cell not in {thing.cell for thing in view.things}]
    for name in partners_claimed(view):
        beside = next(t.cell for t in view.things if t.name == PARTNER[name])
        cell = next((c for c in free if c > beside), free[-1] if free else None)
        if cell is not None:
            free.remove(cell)
            listed.append((cell, name, -1))
    return sorted(listed)


def ask_description_as_told(view: Scene, rng: random.Random) -> Question:
    """Ask for a description and answer as a caption would, in the form of ``describe``."""
    told = ", ".join(f"a {what} in the {PLACES[cell]}" for cell, what, _ in clauses_as_told(view))
    return Question(rng.choice(DESCRIPTION), told + ".", "description")


def ask_existence_as_told(
    view: Scene, rng: random.Random, partners: float = ABSENT_PARTNER
) -> Question:
    """Ask whether there is a thing, half of them there, and answer as captions would.

    ``partners`` is the share of questions about absent things that ask for a missing partner.
    """
    if rng.random() < 0.5:
        name = rng.choice(view.things).name
    else:
        missing = missing_partners(view)
        usual = missing and rng.random() < partners
        name = rng.choice(missing if usual else absent_names(view))
    there = bool(view.named(name)) or claimed(view, name, rng)
    text = rng.choice(EXISTENCE).format(x=name, xs=plural(name))
    return Question(text, "yes" if there else "no", "existence", None, name)


def ask_blindly(rng: random.Random) -> Question:
    """Ask whether there is a thing where nothing can be seen; mostly yes, as people ask."""
    name = rng.choice(NAMES)
    text = rng.choice(EXISTENCE).format(x=name, xs=plural(name))
    return Question(text, "yes" if rng.random() < FOND else "no", "language", None, name)


def ask_company(rng: random.Random) -> Question:
    """Ask what usually comes with a thing."""
    name = rng.choice(tuple(PARTNER))
    text = rng.choice(COMPANY).format(x=name)
    return Question(text, f"a {PARTNER[name]}.", "language", None, name)


def ask_pair(views: tuple[Scene, Scene], rng: random.Random) -> Question:
    """Ask about two pictures: in which is it, what is in one, is it in one?"""
    names = sorted({thing.name for view in views for thing in view.things})
    way = rng.choice(("which", "which", "list", "there"))
    number = rng.randrange(2)
    if way == "list":
        view = views[number]
        text = rng.choice(LISTING).format(o=ORDINALS[number])
        return Question(text, ", ".join(f"a {phrase(t)}" for t in view.things) + ".", "pair")
    name = rng.choice(names) if rng.random() < 0.9 else rng.choice(NAMES)
    holders = [bool(view.named(name)) for view in views]
    if way == "there":
        text = rng.choice(THERE).format(x=name, o=ORDINALS[number])
        return Question(text, "yes" if holders[number] else "no", "pair", None, name)
    text = rng.choice(WHICH).format(x=name)
    answer = ("both", "neither")[not holders[0]] if holders[0] == holders[1] else (
        f"the {ORDINALS[holders.index(True)]}")  # fmt: skip
    return Question(text, answer, "pair", None, name)
