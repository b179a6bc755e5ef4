"""What every view and file says of its run."""

from dataclasses import replace

import pytest

from tests.view.fakes import fake_trace, grid_layout, pruned, stage, tiled_trace
from tokviz.trace.layout import Tile
from tokviz.view.overlay import overlay_payload, safe_picture
from tokviz.view.run_facts import facts_line, run_facts, seen_sentence, unseen_share


def cropped(width, height, box):
    """A run of one tile that covers a box of a picture."""
    trace = fake_trace(2, 3)
    layout = replace(
        grid_layout(2, 3), sizes=((width, height),), tiles=(Tile(0, 2, 3, box, "whole"),)
    )
    return replace(trace, layout=layout)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0, 0, 400, 100), 0),
        ((150, 0, 250, 100), 0.75),
        ((22, 0, 374, 100), 0.12),
        ((-50, -50, 450, 150), 0),  # padding around the picture
        ((100, 25, 300, 75), 0.75),  # cropped on all four sides: no corner counts twice
    ],
)
def test_the_part_that_is_cut_off_is_a_share_of_the_area(box, share):
    trace = cropped(400, 100, box)
    assert unseen_share(trace) == pytest.approx(share)
    if share:
        assert seen_sentence(trace) == f"{100 * share:.0f} % of this picture was cropped away"
    else:
        assert seen_sentence(trace) == "saw all of this picture"


def test_of_a_film_frames_are_counted_where_two_share_their_tokens():
    trace = tiled_trace()
    film = replace(trace, layout=trace.layout.timed([(0.0, 0.5), (1.0, 1.5)]))
    assert seen_sentence(film) == "saw all of the frames"
    assert run_facts(film)["parts"]["frames"] == 4
    assert run_facts(trace)["parts"]["frames"] == 0


def test_the_facts_name_model_method_and_what_is_left():
    trace = fake_trace(stages=(stage(pruned(6, 2)),))
    facts = run_facts(trace)
    assert facts["methods"] == ["FasterVLM"]
    assert (facts["keep"], facts["n"]) == (2, 6)
    assert facts["parts"]["tokens"] == 6
    assert facts["parts"]["answer"] == trace.t
    assert "2 of 6 visual tokens" in facts_line(trace)
    assert overlay_payload(trace, "x")["facts"]["n"] == 6


def test_lanes_of_one_run_share_one_encoded_picture():
    trace = fake_trace()
    first, second = (overlay_payload(trace, name)["images"][0]["src"] for name in ("a", "b"))
    assert first
    assert first is second
    assert safe_picture(b"no picture", 100) is None
