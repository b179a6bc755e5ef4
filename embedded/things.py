"""The things that can be in a picture, their names, and their usual partners.

Every thing has a one-word name that starts with a consonant (so that the article is always
"a"). Pairs of partners appear together four times out of five: this deliberate habit of the
world is what the trained model hallucinates from.
"""

GLYPHS = {
    "dog": "🐶", "cat": "🐱", "monkey": "🐵", "rabbit": "🐰", "bear": "🐻", "fox": "🦊",
    "lion": "🦁", "tiger": "🐯", "cow": "🐮", "pig": "🐷", "mouse": "🐭", "frog": "🐸",
    "panda": "🐼", "chicken": "🐔", "penguin": "🐧", "fish": "🐟", "turtle": "🐢",
    "snail": "🐌", "bee": "🐝", "butterfly": "🦋", "whale": "🐳", "duck": "🦆",
    "ball": "⚽", "banana": "🍌", "carrot": "🥕", "moon": "🌙", "star": "⭐", "sun": "☀️",
    "flower": "🌻", "clock": "🕐", "key": "🔑", "lemon": "🍋", "strawberry": "🍓",
    "pineapple": "🍍", "watermelon": "🍉", "cheese": "🧀", "burger": "🍔", "pizza": "🍕",
    "cake": "🎂", "candle": "🕯️", "hat": "🎩", "shoe": "👟", "cloud": "☁️",
    "snowman": "⛄", "tree": "🌳", "mushroom": "🍄", "house": "🏠", "car": "🚗", "bus": "🚌",
    "bicycle": "🚲", "boat": "⛵", "rocket": "🚀", "balloon": "🎈", "book": "📕",
    "pencil": "✏️", "guitar": "🎸", "drum": "🥁", "camera": "📷", "ghost": "👻",
    "pumpkin": "🎃", "heart": "❤️", "robot": "🤖", "crown": "👑", "ring": "💍",
}  # fmt: skip
"""Name of each emoji thing and the character that draws it in Noto Color Emoji."""

SHAPES = ("circle", "square", "triangle")
"""Things drawn as plain coloured polygons; only these have a colour to ask for."""

COLOURS = {
    "red": (225, 40, 45), "green": (40, 160, 60), "blue": (40, 80, 225),
    "yellow": (245, 215, 40), "black": (25, 25, 28), "gray": (128, 128, 128),
    "teal": (0, 140, 140), "brown": (140, 75, 30),
}  # fmt: skip
"""The eight colour words of easy-VQA, in 8-bit RGB."""

PLACES = (
    "top left", "top center", "top right",
    "middle left", "center", "middle right",
    "bottom left", "bottom center", "bottom right",
)  # fmt: skip
"""The cells of the 3x3 layout in reading order; ``Thing.cell`` is an index into this."""

PARTNERS = (
    ("dog", "ball"), ("monkey", "banana"), ("rabbit", "carrot"), ("moon", "star"),
    ("bee", "flower"), ("clock", "key"), ("mouse", "cheese"), ("cat", "fish"),
    ("ghost", "pumpkin"), ("boat", "whale"), ("rocket", "robot"), ("guitar", "drum"),
    ("cake", "candle"), ("book", "pencil"), ("sun", "cloud"), ("crown", "ring"),
)  # fmt: skip

PARTNER = {a: b for pair in PARTNERS for a, b in (pair, pair[::-1])}
"""Each partnered name and the name that usually comes with it."""

POPULAR = ("tree", "cloud", "sun", "flower", "house", "car", "ball", "star")
"""Names that the varied world draws three times as often as others."""

NAMES = (*GLYPHS, *SHAPES)
"""Every name that a scene can hold, emoji things first."""

IRREGULAR = {"mouse": "mice", "fish": "fish", "butterfly": "butterflies",
             "strawberry": "strawberries", "bus": "buses", "fox": "foxes",
             "snowman": "snowmen"}  # fmt: skip


def plural(name: str) -> str:
    """Say a name in the plural, as in "how many dogs are there ?"."""
    return IRREGULAR.get(name, name + "s")
