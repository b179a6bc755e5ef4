from types import SimpleNamespace

import pytest

import tokviz
from tokviz.time_ratio import repeats_of
from tokviz.trace.lane_view import LaneView
from tokviz.view.lanes import duration, lane_card, metrics, size
from tokviz.view.method_cards import method_card


def lane(total=0.1, text="a dog", tokens=36, kv=1000, **more):
    timings = {"first_token": total / 2, "total": total, "decide": total / 10}
    return LaneView("", text, done=True, timings=timings, visual_tokens=tokens, kv_bytes=kv, **more)


def figures(rows):
    return {row["name"]: row for row in rows}


def timed(*seconds):
    """A trace that keeps repeated totals and first tokens."""
    kept = {"total": list(seconds), "first_token": [s / 2 for s in seconds]}
    return SimpleNamespace(model={"time_repeats": kept})


def test_one_timing_is_shown_as_it_is_and_never_a_verdict():
    rows = figures(metrics(lane(0.15, tokens=9, kv=250), lane(0.1)))
    for name in ("total time", "first token"):
        assert (rows[name]["ratio"], rows[name]["trend"]) == ("timed once", "once")
    assert rows["visual tokens"]["ratio"] == "25 % of full"
    assert rows["KV cache"]["value"] == "250 B"
    assert rows["deciding"]["ratio"] == "10 % of the total"


FULL_TIMES = (1.0, 1.1, 0.9, 1.0, 3.0)


@pytest.mark.parametrize(
    ("factors", "trend", "text"),
    [
        ((1.5, 1.6, 1.5, 1.4, 1.7), "slower", "1.50× full (1.40 to 1.70), slower"),
        ((0.5, 0.6, 0.5, 0.7, 0.4), "faster", "0.50× full (0.40 to 0.70)"),
        ((0.5, 0.6, 0.5, 0.7, 1.1), "same", "≈ as full (0.50 to 1.10×)"),
        ((0.5, 0.6, 0.5), "once", "timed once"),
    ],
)
def test_repeated_times_give_median_and_spread_and_no_verdict_within_it(factors, trend, text):
    own = [f * s for f, s in zip(factors, FULL_TIMES, strict=False)]
    both = lane(trace=timed(*own)), lane(trace=timed(*FULL_TIMES))
    row = figures(metrics(*both))["total time"]
    assert (row["ratio"], row["trend"]) == (text, trend)


def test_the_full_answer_shows_the_median_that_the_lanes_are_compared_with():
    """It showed its one timing, beside ratios of medians: 9.0 s, and 1.0 s was 1.00x of that."""
    full, own = lane(9.0, trace=timed(*FULL_TIMES)), lane(8.0, trace=timed(*FULL_TIMES))
    assert figures(metrics(full, None))["total time"]["value"] == "1.00 s"
    row = figures(metrics(own, full))["total time"]
    assert (row["value"], row["trend"]) == ("1.00 s", "same")
    assert figures(metrics(own, full))["deciding"]["ratio"] == "80 % of the total"
    alone = figures(metrics(lane(8.0, trace=timed(*FULL_TIMES)), lane(9.0)))["total time"]
    assert (alone["value"], alone["ratio"]) == ("8.00 s", "timed once")


@pytest.mark.parametrize("kept", [None, "x", {"total": "123456"}, {"total": [float("nan")] * 9}])
def test_repeats_of_a_strange_file_are_no_repeats(kept):
    assert repeats_of({"time_repeats": kept}, "total") == []


def test_a_total_with_shared_steps_is_an_estimate_and_says_so():
    fast, full = lane(0.05), lane(0.1)
    full.timings |= {"shared": full.timings["total"] / 2, "total_alone": 0.1}
    fast.timings |= {"shared": 0.01, "total_alone": 0.25}
    row = figures(metrics(fast, full))["total time"]
    assert (row["value"], row["ratio"], row["trend"]) == ("≈ 250 ms", "timed once", "once")
    assert "50 % of the time measured" in figures(metrics(full, None))["total time"]["title"]


def test_the_share_of_deciding_is_of_the_total_that_stands_above_it():
    """4.3 % of the lane's own total once stood there as 1 %, of a whole batch's wall time."""
    one = lane(1.0)
    one.timings |= {"decide": 0.01, "shared": 0.9, "total_alone": 0.2326}
    rows = figures(metrics(one, lane()))
    assert rows["total time"]["value"] == "≈ 233 ms"
    assert rows["deciding"]["ratio"] == "≈ 4.3 % of the total"


def test_a_total_of_shared_steps_alone_is_not_compared():
    fast, full = lane(0.05), lane(0.1)
    fast.timings |= {"shared": 0.01}
    row = figures(metrics(fast, full))["total time"]
    assert (row["ratio"], row["trend"]) == ("shared steps", "")


def test_the_full_answer_has_no_ratios_and_no_decision():
    rows = figures(metrics(lane(), None))
    assert "deciding" not in rows
    assert all(row["ratio"] == "" for row in rows.values())


def test_words_are_compared_only_when_both_are_done():
    full, other = lane(), lane(text="a cat")
    assert lane_card(other, full)["changed"]
    other.done = False
    card = lane_card(other, full)
    assert card["words"] == []
    assert card["verdict"] == ""


def test_theory_stands_next_to_the_measured_prefill():
    shares = {"visual_tokens": 0.293, "whole_prompt": 0.362}
    facts = SimpleNamespace(model={"prefill_share": shares, "positions": ["repack"]})
    short = lane(trace=facts)
    short.timings["prefill"] = 0.02
    rows = figures(metrics(short, lane()))
    assert rows["prefill"]["value"] == "20 ms"
    assert (rows["prefill, theory"]["value"], rows["prefill, theory"]["ratio"]) == (
        "36 %",
        "of full",
    )
    assert "29 % counting visual tokens alone" in rows["prefill, theory"]["title"]
    assert rows["position ids"]["value"] == "renumbered"


def test_a_trace_that_does_not_know_its_theory_shows_none():
    rows = figures(metrics(lane(trace=SimpleNamespace(model={"prefill_share": "x"})), lane()))
    assert "prefill, theory" not in rows
    assert "position ids" not in rows


def test_a_lane_with_an_error_shows_it_and_no_figures():
    broken = lane()
    broken.error, broken.timings = "keep must be 1 to 36.", None
    card = lane_card(broken, lane())
    assert card["error"] == "keep must be 1 to 36."
    assert card["metrics"] == []


def test_units_suit_the_numbers():
    assert duration(0.0000004) == "0 µs"
    assert duration(0.0123) == "12.3 ms"
    assert duration(2.345) == "2.35 s" or duration(2.345) == "2.34 s"
    assert size(1023) == "1023 B"
    assert size(1536) == "1.5 KiB"
    assert size(3 * 2**30) == "3 GiB"


def test_every_method_has_a_card_with_its_options():
    for method in tokviz.METHODS.values():
        card = method_card(method)
        assert card["title"]
        assert len(card["options"]) == len(method.options)
        for option in card["options"]:
            assert option["type"] in ("int", "float", "bool", "str")
