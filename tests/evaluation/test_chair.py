"""CHAIR: what counts as a mention, and the three numbers."""

import pytest

from tokviz.errors import InputError
from tokviz.evaluation import ObjectList, chair

OBJECTS = ObjectList.from_lines(
    ["person, man, baby", "bicycle, bike", "dog, puppy", "couch, sofa", "traffic light", "bear",
     "wine glass", "knife", "bus", "chair, seat", "toilet", "tie"],
    phrases={"baby bear": "bear", "hot dog": ""},
    unless={"seat": "toilet"},
)  # fmt: skip


def test_worked_captions():
    texts = ["A man on a bike with two dogs", "A dog on a couch, the dog sleeps"]
    scores = chair(texts, [{"person", "bicycle"}, {"dog", "couch"}], OBJECTS)
    assert (scores.mentions, scores.hallucinated) == (6, 1)
    assert scores.chair_i == pytest.approx(1 / 6)
    assert scores.chair_s == 0.5
    assert scores.recall == 1


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("Traffic lights, KNIVES and wine-glasses.", ["traffic light", "knife"]),
        ("two wine glasses", ["wine glass"]),
        ("buses; a bus", ["bus", "bus"]),
        ("men with puppies", ["person", "dog"]),
        ("a baby bear eats a hot dog", ["bear"]),
        ("a seat beside the toilet", ["toilet"]),
        ("a seat", ["chair"]),
        ("a bow tie", ["tie"]),
        ("a dogged person's business", ["person"]),
        ("the dog’s tail, the dogs' tails", ["dog", "dog"]),
        ("the men's bikes", ["person", "bicycle"]),
        ("", []),
    ],
)
def test_mentions(text, objects):
    assert OBJECTS.mentions(text) == objects


def test_synonyms_and_reference_captions_count_as_there():
    there = OBJECTS.objects(["sofa"], ["a puppy sleeps"])
    assert there == {"couch", "dog"}
    scores = chair(["a dog and a bike"], [there], OBJECTS)
    assert (scores.chair_i, scores.chair_s, scores.recall) == (0.5, 1, 0.5)


def test_descriptions_without_objects_divide_nothing():
    scores = chair([""], [[]], OBJECTS)
    assert (scores.chair_i, scores.chair_s, scores.recall) == (0, 0, 0)
    assert chair([], [], OBJECTS).as_dict()["chair_s"] == 0


def test_bad_lists_are_named(tmp_path):
    with pytest.raises(InputError, match="'bat' means both 'animal' and 'club'"):
        ObjectList.from_lines(["animal, bat", "club, bat"])
    with pytest.raises(InputError, match="at least one name"):
        ObjectList.from_lines([" "])
    with pytest.raises(InputError, match="'unicorn' is not in the object list"):
        chair(["a dog"], [["unicorn"]], OBJECTS)
    with pytest.raises(InputError, match="1 descriptions, but 0 sets"):
        chair(["a dog"], [], OBJECTS)
    (tmp_path / "synonyms.txt").write_text("dog, puppy\n\ncat\n")
    assert ObjectList.read(tmp_path / "synonyms.txt").mentions("puppies, cats") == ["dog", "cat"]
