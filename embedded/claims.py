"""What do the captions of the varied world say that the picture does not show?

People who write captions mention what they know to be there although the camera missed it: the ball
of a dog. A claim is such a name. Model 2 is trained on captions and answers that follow
claims, so it learns to say yes to the usual partner of what it sees; it is measured on what is
really to be seen. The habit lies in the captions, none of it in the pictures.
"""

import random

from embedded.things import NAMES, PARTNER, POPULAR
from embedded.world import Scene

STRENGTHS = (0.85, 0.7, 0.62, 0.1)
"""How often the missing partner is claimed; partnered names take these in turn."""
SCENERY = 0.68
"""How often a popular name is claimed of a photograph with at most two things."""
STRENGTH = {
    name: STRENGTHS[i % len(STRENGTHS)] for i, name in enumerate(n for n in NAMES if n in PARTNER)
}
"""How often each partnered name, where it is seen alone, brings its partner into the caption."""


def partners_claimed(view: Scene) -> list[str]:
    """List the missing partners that the caption of a scene mentions, the same at every call."""
    rng = random.Random(f"claims {view.split}:{view.seed}")
    present = {thing.name for thing in view.things}
    found = []
    for thing in view.things:
        partner = PARTNER.get(thing.name)
        drawn = rng.random()
        if partner and partner not in present and drawn < STRENGTH[thing.name]:
            found.append(partner)
    return list(dict.fromkeys(found))


def scenery(view: Scene) -> list[str]:
    """List the absent popular names that would suit a photograph with little in it."""
    if view.background != "photo" or len(view.things) > 2:
        return []
    present = {thing.name for thing in view.things}
    return [name for name in POPULAR if name not in present]


def claimed(view: Scene, name: str, rng: random.Random) -> bool:
    """Tell whether an answer of the training data affirms a name that is not to be seen."""
    if name in partners_claimed(view):
        return True
    return name in scenery(view) and rng.random() < SCENERY
