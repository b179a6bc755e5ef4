import numpy as np
import pytest

import tokviz
from tokviz.analysis.image_dependence import divergences, fading, log_ratio, running_mean
from tokviz.errors import InputError, MissingSignal


def test_worked_log_ratios():
    with_image = np.array([0.9, 0.8, 0.6, 0.95])
    without = np.array([0.85, 0.05, 0.30, 0.95])
    found = log_ratio(with_image, without)
    np.testing.assert_allclose(found, [0.057158, 2.772589, 0.693147, 0], atol=1e-6)
    np.testing.assert_allclose(with_image - without, [0.05, 0.75, 0.3, 0])


def test_worked_divergences():
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.6, 0.3])
    found = divergences(p, q)
    assert log_ratio(p, q)[0] == pytest.approx(1.945910, abs=1e-6)
    assert found["kl"] == pytest.approx(1.032553, abs=1e-6)
    assert found["js"] == pytest.approx(0.295807, abs=1e-6)
    assert found["tv"] == pytest.approx(0.6)
    assert found["flips"]


def test_equal_distributions_do_not_diverge_and_disjoint_ones_fully():
    found = divergences([[0.5, 0.5, 0]], [[0.5, 0.5, 0]])
    assert [float(found[name][0]) for name in ("kl", "js", "tv", "flips")] == [0, 0, 0, 0]
    assert divergences([1.0, 0], [0.0, 1])["js"] == pytest.approx(1)


def test_bits_per_control_and_the_least_of_them(toy):
    """`yes`: 3/4 with the image; 3/8, 1/2 and 1/4 without. The full stop does not care."""
    result = tokviz.analyse("image_dependence", toy)
    np.testing.assert_allclose(result.values[:3, 0], [1, np.log2(1.5), np.log2(3)], atol=1e-6)
    np.testing.assert_allclose(result.values[:3, 1], 0, atol=1e-6)
    assert np.isnan(result.values[3]).all()
    np.testing.assert_allclose(result["least"].values, [np.log2(1.5), 0], atol=1e-6)
    assert result.labels["x"] == ("blank", "blurred", "noise", "removed")


def test_controls_of_ones_own_take_the_place_of_the_stored_ones(toy):
    result = tokviz.analyse(
        "image_dependence", toy, runs={"controls": {"shuffled": np.array([0.75, 0.25])}}
    )
    np.testing.assert_allclose(result.values, [[0, 1]])


def test_whole_distributions_give_divergences_too(toy):
    full = np.full((2, 30), 0.0)
    full[:, 21], full[:, 22] = 0.75, 0.25
    blank = np.roll(full, 1, axis=0)[:, ::-1].copy()
    blank[:, 21], blank[:, 22] = 0.25, 0.75
    result = tokviz.analyse(
        "image_dependence", toy, runs={"controls": {"full": full, "blank": blank}}
    )
    np.testing.assert_allclose(result.values[0], [np.log2(3), -np.log2(3)])
    np.testing.assert_array_equal(result["flips"].values, True)


def test_without_controls_it_says_what_to_run(make_trace):
    with pytest.raises(MissingSignal, match="blank, blurred, noise and removed"):
        tokviz.analyse("image_dependence", make_trace(control_prob=None))


@pytest.mark.parametrize(
    "controls", [{"blank": np.ones(3)}, {"full": np.ones((2, 5)), "blank": np.ones(2)}]
)
def test_controls_of_another_length_are_refused(toy, controls):
    with pytest.raises(InputError, match="blank"):
        tokviz.analyse("image_dependence", toy, runs={"controls": controls})


def test_dependence_by_place_is_a_mean_of_the_last_tokens():
    found = running_mean(np.array([2.0, 4.0, np.nan, 0.0]))
    np.testing.assert_allclose(found, [2, 3, 3, 2])
    np.testing.assert_allclose(running_mean(np.arange(20.0))[-1], np.arange(12, 20).mean())
    assert np.isnan(running_mean(np.array([np.nan]))).all()


@pytest.mark.parametrize(
    ("least", "warned"),
    [
        (np.linspace(3, 0, 30), True),
        (np.full(30, 1.0), False),
        (np.linspace(0, 3, 30), False),
        (np.linspace(3, 0, 23), False),  # too short to say
        (np.linspace(0.05, 0, 30), False),  # nothing depends on the image anyway
        (np.full(30, np.nan), False),
    ],
)
def test_a_long_answer_that_leaves_the_image_is_warned_of(least, warned):
    assert bool(fading(least)) == warned
    assert all("last third" in note for note in fading(least))
