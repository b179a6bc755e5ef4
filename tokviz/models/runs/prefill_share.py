"""The theoretical cost of a run's prefill, relative to that of the whole prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokviz.cost import Shape, cost_of, run_share
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.families.shared_keys import whole_prompt_layers

if TYPE_CHECKING:
    from tokviz.models.runs.run import Run


def prefill_share(run: Run) -> dict[str, float]:
    """Return the share over the visual tokens alone, and over the whole prompt."""
    config = run.loaded.model.config.get_text_config()  # type: ignore[union-attr, operator]
    layers = whole_prompt_layers(run.lane.decoder)  # the others compute one row in any case
    linear = frozenset(layers_without_attention(run.lane.decoder))
    mlp = config.intermediate_size  # Gemma 3n lists one per layer
    width = round(sum(mlp) / len(mlp)) if isinstance(mlp, (list, tuple)) else mlp
    shape = Shape(layers, config.hidden_size, width, linear)
    records = [*run.prefill_input.records, *run.lane.stages.records()]
    n = run.prepared.asked.layout.n
    text, unmerged = len(run.prepared.asked.prompt_ids) - n, bool(run.lane.stages.unmerged)
    whole = run.view.total_visual_tokens  # a smaller picture has fewer tokens from the start

    def compared(rows: int) -> float:
        part = cost_of([n + rows] * layers, shape) / cost_of([whole + rows] * layers, shape)
        return part * run_share(records, n, shape, rows, unmerged)

    return {"visual_tokens": compared(0), "whole_prompt": compared(text)}
