import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.view.fakes import fake_trace, merged, picture, pruned, stage
from tests.view.test_encode import unpack
from tokviz.per_head import of_heads
from tokviz.reduction.method import PLACES as METHOD_PLACES
from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.to_file import layout_arrays
from tokviz.view.fates import PLACES
from tokviz.view.overlay import overlay_payload, pending_payload
from tokviz.view.overlay_maps import fitting_layers
from tokviz.view.page_file import page_html

EVIL = "<script>alert(1)</script>"


def test_places_are_named_as_methods_name_them():
    assert PLACES == METHOD_PLACES


def test_the_payload_is_plain_json_and_small():
    payload = overlay_payload(fake_trace(24, 24, ("w",) * 64, layers=32), "id")
    text = json.dumps(payload, allow_nan=False)
    assert len(text) < 5_000_000


def test_a_long_answer_about_many_tokens_keeps_its_attention_in_fewer_layers():
    trace = fake_trace(64, 64, tuple("w" * 64), layers=8)
    payload = overlay_payload(trace, "id")
    layers = payload["attention_layers"]
    assert layers == [0, 1, 2, 4, 5, 6]
    kept = trace["attention"][:, layers].astype(np.float32)
    np.testing.assert_allclose(unpack(payload["attention"]), kept, atol=kept.max() / 254)
    assert unpack(payload["share"]).shape == (64, 8)
    assert len(page_html(payload)) < 5 * 2**20


@pytest.mark.parametrize(("room", "layers"), [(0, [2]), (12, [2]), (24, [0, 2]), (99, [*range(4)])])
def test_layers_that_fit_are_evenly_spaced_and_hold_the_first_view(room, layers):
    assert fitting_layers((2, 4, 6), room).tolist() == layers


def test_the_maps_are_those_of_the_trace():
    trace = fake_trace()
    payload = overlay_payload(trace, "id", tam=np.ones((3, 6)))
    np.testing.assert_array_equal(unpack(payload["attention"]), trace["attention"])
    np.testing.assert_array_equal(unpack(payload["heads"]), trace["attention_heads"])
    np.testing.assert_array_equal(unpack(payload["tower"]), trace["cls_attention"])
    np.testing.assert_array_equal(unpack(payload["box"]), trace.layout.box)
    np.testing.assert_array_equal(unpack(payload["tam"]), 1)
    phi = trace["sink_phi"][:, trace["token_position"]]
    np.testing.assert_array_equal(unpack(payload["phi"]), phi)
    share = trace["mass"][..., 1].astype(np.float32).mean(2)
    np.testing.assert_allclose(unpack(payload["share"]), share, rtol=1e-3)


def test_words_carry_probability_and_candidates():
    word = overlay_payload(fake_trace(), "id")["words"][1]
    assert word["text"] == "dog"
    assert word["prob"] == pytest.approx(0.675)
    assert word["candidates"] == [["dog", 0.6], ["cat", 0.3]]


def test_fates_groups_and_places_follow_from_the_matrix():
    reduction = merged(6, 2)
    payload = overlay_payload(fake_trace(stages=(stage(reduction),)), "id")
    np.testing.assert_array_equal(unpack(payload["fates"]), [reduction.fate])
    np.testing.assert_array_equal(unpack(payload["group"]), [reduction.group])
    np.testing.assert_array_equal(unpack(payload["place"]), [reduction.position[reduction.group]])


def test_two_stages_are_told_apart():
    first, second = pruned(6, 4, 1), pruned(4, 2, 2)
    stages = (stage(first), stage(second, "fastv", "language_model"))
    payload = overlay_payload(fake_trace(stages=stages), "id")
    fates = unpack(payload["fates"])
    assert (fates == 2).sum(1).tolist() == [2, 4]
    assert [s["left"] for s in payload["stages"]] == [4, 2]
    assert payload["stages"][1]["title"] == "FastV"
    assert sorted(unpack(payload["went"]).tolist()) == [-1, -1, 0, 0, 1, 1]
    np.testing.assert_allclose(unpack(payload["score"]), first.score, rtol=1e-6)


def test_a_stage_that_only_masks_leaves_all_tokens_to_the_next():
    first = replace(stage(pruned(6, 4, 1), "fastv", "language_model"), effect="mask")
    second = stage(pruned(6, 2, 2), "pyramiddrop", "language_model")
    payload = overlay_payload(fake_trace(stages=(first, second)), "id")
    assert (unpack(payload["fates"]) == 2).sum(1).tolist() == [2, 4]
    assert [s["removes"] for s in payload["stages"]] == [False, True]


def test_fates_of_key_heads_are_those_of_source_tokens():
    first, cache = pruned(6, 4, 1), of_heads([[0, 1, -1, -1], [0, -1, 2, -1]])
    stages = (stage(first), replace(stage(cache, "snapkv", "cache"), layer=3, effect="evict"))
    payload = overlay_payload(fake_trace(stages=stages), "id")
    fates, kept = unpack(payload["head_fates"]), first.position
    assert fates.shape == (2, 2, 6)
    assert (fates[0] == first.fate).all()
    assert [np.flatnonzero(row == 0).tolist() for row in fates[1]] == [
        kept[[0, 1]].tolist(), kept[[0, 2]].tolist(),
    ]  # fmt: skip
    assert [(s["left"], s["heads"]) for s in payload["stages"]] == [(4, 0), (2, 2)]
    assert overlay_payload(fake_trace(stages=stages[:1]), "id")["head_fates"] is None


def test_roles_of_a_later_stage_name_source_tokens():
    first, second = pruned(6, 4, 1), replace(pruned(4, 2, 2), roles={"anchor": np.array([0, 3])})
    payload = overlay_payload(fake_trace(stages=(stage(first), stage(second))), "id")
    assert payload["roles"] == [{"name": "anchor", "tokens": first.position[[0, 3]].tolist()}]


def test_texts_travel_as_they_are():
    trace = fake_trace(words=(EVIL,), prompt=EVIL, stages=(stage(pruned(6, 2), EVIL),))
    payload = overlay_payload(trace, "id")
    assert payload["prompt"] == EVIL
    assert payload["words"][0]["text"] == EVIL


def test_missing_arrays_are_named_with_a_reason():
    bare = fake_trace()
    bare = replace(bare, arrays=layout_arrays(bare.layout))
    payload = overlay_payload(bare, "id")
    assert set(payload["missing"]) >= {"attention", "tower", "tam", "phi"}
    assert payload["attention"] is None
    assert all(text.endswith(".") for text in payload["missing"].values())


def test_a_model_whose_last_layers_have_one_row_has_no_token_map_and_says_so():
    trace = fake_trace()
    arrays = {name: one for name, one in trace.arrays.items() if name != "readout"}
    model = {**trace.model, "last_row_only": [1]}
    payload = overlay_payload(replace(trace, arrays=arrays, model=model), "id")
    assert payload["tam"] is None
    assert "compute only its last row" in payload["missing"]["tam"]


def test_a_tower_without_cls_shows_received_attention_and_says_so():
    trace = fake_trace()
    arrays = dict(trace.arrays)
    arrays["received_attention"] = arrays.pop("cls_attention")
    payload = overlay_payload(replace(trace, arrays=arrays), "id")
    assert payload["tower_kind"] == "received"
    assert payload["tower_layers"] == list(range(len(arrays["received_attention"])))
    assert "no [CLS]" in payload["missing"]["cls"]
    arrays["received_attention"] = arrays["received_attention"][-1:]
    arrays["received_layers"] = np.array([2], np.int32)
    payload = overlay_payload(replace(trace, arrays=arrays), "id")
    assert payload["tower_layers"] == [2]


def tiled_trace() -> Trace:
    """A 100×60 picture: two 2×2 tiles beside each other and one thumbnail, a newline after each."""
    tiles = (
        Tile(0, 2, 2, (0, 0, 50, 60), "tile"),
        Tile(0, 2, 2, (50, 0, 100, 60), "tile"),
        Tile(0, 2, 2, (0, -20, 100, 80), "thumbnail"),
    )
    grid = [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (-1, -1, 1)]
    row, col, kind = (np.array([t[i] for t in grid * 3]) for i in range(3))
    layout = Layout(
        ((100, 60),), tiles, np.repeat(np.arange(3), 5).astype(np.int16), row.astype(np.int16),
        col.astype(np.int16), kind.astype(np.uint8), np.arange(15, dtype=np.int32),
    )  # fmt: skip
    return Trace("p", "a", {}, layout, ("<image>",) * 15, (), layout_arrays(layout))


def test_tiles_and_thumbnail_are_two_pictures():
    payload = overlay_payload(tiled_trace(), "id")
    assert [pane["role"] for pane in payload["panes"]] == ["tile", "thumbnail"]
    assert payload["panes"][0]["view"] == [0, 0, 100, 60]
    assert payload["panes"][1]["view"] == [0, -20, 100, 80]
    assert unpack(payload["pane"]).tolist() == [0] * 10 + [1] * 5
    assert np.isnan(unpack(payload["box"])[4]).all()


def test_areas_that_the_model_does_not_see_are_named():
    trace = fake_trace()
    tile = Tile(0, 2, 3, (48.0, 0.0, 144.0, 192.0))
    payload = overlay_payload(replace(trace, layout=replace(trace.layout, tiles=(tile,))), "id")
    assert payload["panes"][0]["unseen"] == [[0, 0, 48, 192], [144, 0, 192, 192]]


def test_a_stored_picture_that_is_no_picture_is_left_out():
    trace = replace(fake_trace(), images=(b"<svg onload=alert(1)>",))
    assert overlay_payload(trace, "id")["images"][0]["src"] is None


def test_a_lane_payload_has_fates_and_one_map_of_all_words():
    trace = fake_trace(stages=(stage(pruned(6, 2)),))
    payload = overlay_payload(trace, "id", slim=True)
    assert payload["fates"]
    assert len(payload["words"]) == 1
    sent = unpack(payload["attention"])
    mean = trace["attention"].astype(float).mean(0, keepdims=True)
    np.testing.assert_allclose(sent, mean, atol=1e-3, equal_nan=True)
    assert not {"heads", "tam", "tower", "phi"} & set(payload)


def test_while_answering_there_is_a_picture_and_words():
    payload = pending_payload([picture()], "what ?", ["a", " dog"])
    json.dumps(payload, allow_nan=False)
    assert payload["n"] == 0
    assert [w["text"] for w in payload["words"]] == ["a", "dog"]
    assert payload["images"][0]["src"].startswith("data:image/jpeg")


def test_views_load_neither_torch_nor_gradio():
    code = (
        "import sys, tokviz.view.overlay, tokviz.view.lanes, tokviz.view.charts;"
        "sys.exit(bool({'torch', 'gradio', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
