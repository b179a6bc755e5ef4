"""The stored film keeps the times of repeated rounds, from which alone the page compares lanes."""

import json

from components.answering.widget_values import stored_lanes
from components.runs.stored_examples import StoredExamples
from scripts import store_film


def test_every_lane_of_the_stored_film_keeps_its_repeats(tmp_path, monkeypatch):
    monkeypatch.setattr(store_film, "REPEATS", 4)
    for folder in ("examples", "traces"):
        (tmp_path / folder).mkdir()
    index = [store_film.store(tmp_path)]
    (tmp_path / "traces" / "index.json").write_text(json.dumps(index), "utf-8")
    run = StoredExamples(tmp_path).all["film"].run
    for trace in run.traces.values():
        assert all(len(seconds) == 4 for seconds in trace.model["time_repeats"].values())
    for lane in stored_lanes(run)["lanes"]:
        times = [row for row in lane["metrics"] if row["name"] in ("first token", "total time")]
        assert len(times) == 2
        assert all(row["trend"] in ("same", "slower", "faster") for row in times)
