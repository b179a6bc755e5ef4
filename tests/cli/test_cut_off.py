"""What was cut off looks so in every text: a report, a certificate, a trace's own line."""

from dataclasses import replace

import numpy as np

from tests.fakes import six_token_trace
from tokviz.cli.examine import certificate_text
from tokviz.examine.counterfactual import Certificate
from tokviz.examine.diagnosis import Report


def test_an_answer_that_was_cut_off_is_said_to_be_so():
    found = Certificate("necessary", np.array([3]), True, "yes", "no", True, 9, 1.0)
    lines = certificate_text(found, "length").splitlines()
    assert "Answer with all tokens: yes (cut off)" in lines
    assert "Answer with all tokens: yes" in certificate_text(found, "end")
    report = Report("model", "is it?", "yes a", (), "length")
    assert str(report).splitlines()[0] == "is it? → yes a (cut off)"
    assert report.as_record()["finish"] == "length"
    trace = six_token_trace()
    assert "(cut off)" in repr(replace(trace, finish="length"))
    assert "cut off" not in repr(replace(trace, finish="end"))
