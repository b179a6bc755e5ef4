"""The measurements of model 2 say what they claim to say, on numbers that fit in the head."""

import pytest
import torch
from PIL import Image

from embedded.domain import fit, quarters
from embedded.evaluate_deep import LINES, policy_gap, table, write_card
from embedded.exams import auc, gather, overall, shares
from embedded.habit_exam import chair_of
from embedded.sink_exam import Look, visual_report
from embedded.tables import BEGIN, END
from embedded.world import Scene, Thing


@pytest.mark.parametrize("size", [(400, 300), (100, 191), (192, 192)])
def test_any_picture_is_cut_to_the_models_square(size):
    assert fit(Image.new("L", size)).size == (192, 192)
    assert len(quarters(Image.new("RGB", size))) == 4


def test_marks_of_batches_are_put_together_and_habits_left_out():
    marks = gather(iter([{"what": [True], "partner": [True]}, {"what": [False, True]}]))
    assert shares(marks)["what"] == {"share": 0.6667, "questions": 3}
    assert overall(marks) == 0.6667


def test_auc_of_a_perfect_and_a_reversed_score():
    score, positive = torch.tensor([0.1, 0.2, 0.8, 0.9]), torch.tensor([False, False, True, True])
    assert auc(score, positive) == 1.0
    assert auc(-score, positive) == 0.0


def test_the_gap_of_policies_is_the_largest_of_any_rule():
    found = {"policies": {"a": {"144": {"keep": 0.9, "repack": 0.88}},
                          "b": {"144": {"keep": 0.7, "repack": 0.75}}}}  # fmt: skip
    assert policy_gap(found) == 0.05


def test_a_caption_with_a_claimed_partner_counts_as_hallucinated():
    dog = Thing("dog", None, 0, (0, 0, 40, 40), False)
    views = [Scene(i, "test", (dog,), Image.new("RGB", (1, 1))) for i in range(2)]
    said = ["a dog in the top left, a ball in the center.", "a dog in the top left."]
    found = chair_of(views, said)
    assert found["chair_s"] == 0.5
    assert found["recall"] == 1.0


def test_visual_sinks_are_counted_with_the_attention_that_lands_on_them():
    states = torch.zeros(5, 64)
    states[:, 0] = 1.0
    states[2, 7] = 50.0
    weights = torch.zeros(4, 5, 5)
    weights[:, 4, 2], weights[:, 4, 3] = 0.3, 0.1
    visual = torch.tensor([False, True, True, True, False])
    found = visual_report([Look([states] * 4, weights, visual)], (7,))
    assert found == {"visual_sinks": 1.0, "share_of_image_attention": 0.75}


def test_the_table_has_a_line_for_every_goal_and_stands_in_the_card(tmp_path):
    share = {"share": 0.5}
    found = {
        "sinks": {"sink_dims": [], "layers_with_40_percent": 0.0, "accuracy": 1.0,
                  "accuracy_without_visual_sinks": 1.0},
        "pope": {s: {"accuracy": 1, "yes_ratio": 1} for s in ("random", "popular", "adversarial")},
        "partners": {"partner": share, "other": share}, "chair": {"chair_s": 0.3},
        "policies": {}, "room": {"prefill_ratio": 0.2, "answers_sooner": 9}, "cls_auc": 0.9,
        "compound_names": 14, "pair": {"pair": share}, "easyvqa": share,
        "kinds": {"existence": share},
        "domain": {"false_alarms": 0.0, "photographs_caught": 1.0},
    }  # fmt: skip
    found["policies"] = {"a": {"144": {"keep": 0.9, "repack": 0.9}}}
    lines = table(found).splitlines()
    assert len(lines) == 2 + len(LINES)
    write_card(tmp_path, found)
    card = (tmp_path / "README.md").read_text()
    assert table(found) in card.split(BEGIN)[1].split(END)[0]
    assert {line.point[0] for line in LINES} == set("123456789")
