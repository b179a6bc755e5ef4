"""The search for VFlowOpt's settings: its budget, its score and its first point."""

import numpy as np
import pytest

import tokviz
from tokviz.capture import Capture
from tokviz.models.runs.schedule_search import Settings, as_plan, search_vflowopt, within_budget

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"


@pytest.mark.parametrize(
    ("share", "before", "first", "second"),
    [(0.5007, 0.7233, 0.7487, 0.4870), (0.2507, 0.2651, 0.9833, 0.8773)],
)
def test_the_third_ratio_follows_from_the_budget_as_published(share, before, first, second):
    point = within_budget(Settings(30, 12, before, first, 1.0), share, 28)
    assert point.second == pytest.approx(second, abs=2e-3)


def test_a_budget_that_is_spent_too_early_or_never_is_no_point():
    assert within_budget(Settings(30, 12, 0.9, 1.0, 1.0), 0.3, 28) is None
    assert within_budget(Settings(30, 12, 0.25, 0.6, 1.0), 0.25, 28) is None


def test_settings_become_a_plan_that_leaves_what_they_say():
    chosen = as_plan(Settings(28.68, 11.76, 0.7233, 0.7487, 0.4870), 729)
    before, inside = chosen.steps
    assert (before.keep, inside.keep) == (527, 192)
    assert before.options["cell"] == pytest.approx(11.76)
    stages = inside.entry.stages(527, 192, 28, **inside.options)
    assert [s.layer for s in stages] == [9, 18]
    assert stages[0].keep == pytest.approx(527 * 0.7487, abs=1.5)


@pytest.fixture(scope="module")
def found(vlm, cat):
    return search_vflowopt(vlm, [(cat, PROMPT), (cat.rotate(90), PROMPT)], 0.5, calls=7)


def test_the_best_point_is_the_best_that_was_tried(found):
    assert len(found.tried) == 7
    assert found.fidelity == max(fidelity for _, fidelity in found.tried)
    assert found.fidelity >= found.tried[0][1]  # the published preset comes first
    assert found.tried[0][0].threshold == pytest.approx(
        np.interp(0.5, [0.2651, 0.7233], [34.76, 28.68])
    )
    assert len({settings for settings, _ in found.tried}) == 7


def test_its_fidelity_is_that_of_its_plan(found, vlm, cat):
    capture = Capture(readout=True)
    cosines = []
    for image in (cat, cat.rotate(90)):
        a, b = (vlm.answer(image, PROMPT, p, 1, capture)["last_state"] for p in (None, found.plan))
        cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert found.fidelity == pytest.approx(np.mean(cosines), abs=1e-5)


def test_every_point_meets_the_budget(found):
    """The tiny model has four layers: stages before layers 1 and 3."""
    for point, _ in found.tried:
        left = np.cumprod([point.before, point.first, point.second])
        shares = np.repeat(left, [1, 2, 1])
        assert shares.mean() == pytest.approx(0.5)


def test_same_seed_same_search(found, vlm, cat):
    again = search_vflowopt(vlm, [(cat, PROMPT), (cat.rotate(90), PROMPT)], 0.5, calls=3)
    assert again.tried[:1] == found.tried[:1]


def test_nonsense_is_refused_in_words(vlm, cat):
    with pytest.raises(tokviz.InputError, match="share between 0 and 1, got 0 samples"):
        search_vflowopt(vlm, [], 0.5)
    with pytest.raises(tokviz.InputError, match="and share 1"):
        search_vflowopt(vlm, [(cat, PROMPT)], 1)
