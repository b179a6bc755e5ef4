import numpy as np

from tests.view.fakes import fake_trace
from tokviz.view.keeping import Criterion, breaking_point, judged, keep_chart
from tokviz.view.word_prob import answer_words_of, default_choice, still_said, word_probabilities

CELLS = [
    {"keep": keep, "state": "done", "same": keep == 36, "prob": [0.9, p], "said": [True, p > 0.4]}
    for keep, p in ((36, 0.9), (18, 0.7), (9, 0.5), (4, 0.3), (1, 0.1))
]


def states(criterion):
    return [cell["state"] for cell in judged(CELLS, criterion)]


def test_words_hold_while_they_are_the_first_choice_whatever_the_rest_of_the_answer_does():
    assert states(Criterion("words", (0, 1))) == ["holds", "holds", "holds", "changes", "changes"]
    assert states(Criterion("words", (0,))) == ["holds"] * 5
    assert states(Criterion("answer", (0,))) == ["holds", *["changes"] * 4]


def test_a_probability_holds_while_every_chosen_word_has_it():
    found = states(Criterion("probability", (0, 1), 0.6))
    assert found == ["holds", "holds", "changes", "changes", "changes"]


def test_the_curve_breaks_at_the_largest_budget_that_does_not_hold():
    criterion = Criterion("probability", (1,), 0.6)
    cells = judged(CELLS, criterion)
    assert breaking_point(cells) == (18, 9)
    chart = keep_chart([("FastV", cells)], criterion, ["a", "dog"])
    line, point = chart.data
    assert list(line.x) == [1, 4, 9, 18, 36]
    assert list(line.y) == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert (point.x[0], point.text[0]) == (9, "breaks at 9")
    assert "“dog”" in chart.layout.title.text


def test_a_cell_without_scores_is_not_judged_yet():
    waiting = {"keep": 9, "state": "done", "same": True}
    assert judged([waiting], Criterion("words", (0,)))[0]["state"] == "scoring"
    assert judged([waiting], Criterion("answer"))[0]["state"] == "holds"


def test_words_that_carry_content_are_chosen_and_a_word_has_the_product_of_its_tokens():
    trace = fake_trace(2, 3, ("the", " d", "og", " runs", "."))
    words = answer_words_of(trace)
    assert [one.text for one in words if one.content] == ["dog", "runs"]
    assert default_choice(words) == [i for i, one in enumerate(words) if one.content]
    dog = next(i for i, one in enumerate(words) if one.text == "dog")
    assert word_probabilities(words, trace["answer_prob"])[dog] == round(
        float(trace["answer_prob"][1] * trace["answer_prob"][2]), 5
    )
    said = [True, True, False, True, True]
    assert still_said(words, np.array(said))[dog] is False
