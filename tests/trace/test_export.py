from tests.trace.test_trace import trace
from tokviz.matrix import Reduction
from tokviz.trace.export import answer_record
from tokviz.trace.stages import StageRecord


def test_every_token_has_its_fate_group_stage_and_box():
    """Tokens 0 and 1 are merged, 2 and 5 left out at once, and 3 by the second method."""
    stages = (
        StageRecord("a", "before", None, Reduction.from_groups([[0, 1], [3], [4]], 6)),
        StageRecord("b", "language_model", 1, Reduction.select([0, 2], 3)),
    )
    told = answer_record(trace(stages=stages))
    rows = [(one["fate"], one["group"], one["stage"]) for one in told["fates"]]
    assert rows == [
        ("merged", 0, 0),
        ("merged", 0, 0),
        ("pruned", None, 0),
        ("pruned", None, 1),
        ("kept", 1, None),
        ("pruned", None, 0),
    ]
    assert told["fates"][5]["box"] == [40.0, 20.0, 60.0, 40.0]
    assert told["visual_tokens"] == {"total": 6, "left": 2, "kept": 1, "merged": 2, "pruned": 3}
