"""The report on an answer: its numbers by hand, and one for real on the embedded model."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import tokviz
from benchmarks.diagnosis import precision, wilson
from tests.fakes import six_token_trace
from tokviz.diagnosis import box_of, decided_layers, reason_of

SCENE = Path(__file__).parents[1] / "assets/examples/scene_1.png"


@pytest.mark.parametrize(
    ("text", "probability", "gain", "flagged", "reason"),
    [
        ("the", 0.1, {"blank": 0.0}, False, "claims nothing"),
        (".", 0.1, {"blank": 0.0}, False, "claims nothing"),
        ("dog", 0.5, {"blank": 9.0}, True, "unsure"),
        ("dog", 0.99, {"blank": 0.0, "noise": 0.05}, False, "no proof"),
        ("dog", 0.99, {"blank": 0.0, "noise": 4.0}, False, r"noise \(by 4.0 bits\)"),
    ],
)
def test_the_flag_and_its_reason(text, probability, gain, flagged, reason):
    found, why = reason_of(text, probability, gain)
    assert found is flagged
    assert re.search(reason, why)


def test_a_word_is_decided_where_all_later_layers_agree():
    trace = six_token_trace()
    first, second, third = trace["answer_ids"].tolist()
    words = np.array([[first, 0, third], [0, 0, third], [first, second, third], [first, 0, third]])
    assert decided_layers(words, trace).tolist() == [2, 4, 0]


def test_the_box_holds_half_of_the_map():
    trace = six_token_trace()
    values = np.array([0, 6, 1, 0, 2, 1.0])
    image, box = box_of(values, trace)
    assert (image, box) == (0, tuple(float(v) for v in trace.layout.box[1]))
    assert box_of(np.zeros(6), trace) is None


def test_intervals_and_precision():
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(5, 10)
    assert (round(low, 2), round(high, 2)) == (0.24, 0.76)
    wrong, right = np.array([True, False]), np.array([True] + [False] * 9)
    assert precision(wrong, right, 0.2) == pytest.approx(0.1 / 0.18)


def test_a_report_on_the_embedded_model():
    report = tokviz.diagnose("embedded", SCENE, "what is in the top left ?")
    (word,) = [word for word in report.words if word.text == "dog"]
    assert report.answer == "dog"
    assert not word.flagged
    assert max(word.dependence.values()) > 1
    assert 0 <= word.decided_at < 6
    x0, y0, *_ = word.box[1]
    assert max(x0, y0) < 96  # the dog is in the top left of 192 x 192 pixels
    assert set(word.dependence) == {"blank", "blurred", "noise", "removed"}
    json.dumps(report.as_record(), allow_nan=False)
    assert "dog" in str(report)
