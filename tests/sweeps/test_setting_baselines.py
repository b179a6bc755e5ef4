"""The two honest baselines of a sweep: a smaller picture, and no picture."""

from tokviz.sweeps.setting import settings


def test_baselines_are_a_smaller_picture_at_every_budget_and_no_picture():
    found = settings("fastv", [16, "25%"], baselines=True)
    assert [(s.method, s.budget, s.mitigation) for s in found] == [
        ("", "", ""), ("fastv", "16", ""), ("fastv", "25%", ""),
        ("downsample", "16", ""), ("downsample", "25%", ""), ("", "", "blind"),
    ]  # fmt: skip
    assert [s.mitigation for s in settings((), (), baselines=True)] == ["", "blind"]


def test_baselines_that_are_asked_for_anyway_are_there_once():
    found = settings(["downsample", "fastv"], [9], mitigations="blind", baselines=True)
    assert sum(s.method == "downsample" and not s.mitigation for s in found) == 1
    assert sum(s.mitigation == "blind" and not s.method for s in found) == 1
