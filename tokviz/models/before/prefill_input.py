"""The input of the prefill: text rows, the visual tokens that are left, and position ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from tokviz.analysis.block_flow import block_of
from tokviz.errors import ModelError
from tokviz.matrix import Reduction
from tokviz.models.before.mean_positions import with_mean_positions
from tokviz.models.before.part_signals import carried
from tokviz.models.before.plan_steps import PlanSteps
from tokviz.models.decoder.cache_eviction import CacheEviction
from tokviz.models.decoder.member_positions import MemberPositions
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.decoder.unmerged_rows import UnmergedRows
from tokviz.models.decoder.windows import Windows, sliding_layers
from tokviz.models.families.family import Family, Features
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.prepared import Asked, Prepared
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan
from tokviz.trace.schema import BLOCKS
from tokviz.trace.stages import StageRecord


@dataclass(frozen=True)
class PromptRows:
    """The rows of the full prompt that a lane's sequence consists of."""

    before: Reduction
    "What happened to the n visual tokens before layer 0."
    rows: np.ndarray
    "int64 [rows], index in the full prompt of each row that entered layer 0."
    visual: np.ndarray
    "int64 [m], rows of the sequence that are visual tokens."
    cls_row: int | None = None
    "Row of a [CLS] token that was added before the visual tokens."

    def blocks(self, asked: Asked) -> np.ndarray:
        """Return the block of each row that entered layer 0, int64 [rows], index in BLOCKS."""
        full = block_of(asked.layout, len(asked.prompt_ids), asked.mark_rows)
        block = full[self.rows].astype(np.int64)
        if self.cls_row is not None:
            block[self.cls_row] = BLOCKS.index("image")
        return block

    def is_visual(self, sequence: np.ndarray) -> np.ndarray:
        """Return which rows of the sequence, int [r], are visual tokens, bool [r]."""
        marks = np.zeros(len(self.rows), bool)
        marks[self.visual] = True
        return marks[sequence]


@dataclass
class PrefillInput:
    """The sequence that enters layer 0 of the language model, and how it was made."""

    input_ids: torch.Tensor
    "[1, rows], without the placeholders of removed tokens."
    positions: torch.Tensor
    "[..., 1, rows]"
    row_inputs: dict[str, torch.Tensor]
    "Further inputs [1, rows] of the model, such as token types."
    features: Features
    "Of the m visual tokens."
    stages: DecoderStages
    prompt_rows: PromptRows
    records: list[StageRecord]
    encode_seconds: float
    decide_seconds: float
    notes: list[str]
    supplied: dict[str, set[str]]
    "Method -> names of the signals that its decisions before layer 0 were given."
    member_positions: bool
    "True where merged tokens were given their members' positions."
    one_patch_each: bool
    "True where each visual token is one patch of the tower."
    moved: dict[str, str]
    "Method -> where it decides instead, where layers have no attention."
    why_merged: str | None
    "Why attention did not unmerge tokens; empty where it did, None where no method asks for it."


@dataclass(frozen=True)
class EnteringRows:
    """The rows of the full prompt that enter layer 0."""

    rows: np.ndarray
    "int64 [rows], ascending."
    visual: np.ndarray
    "int64 [m], indices in `rows` of the visual tokens."
    cls_row: int | None = None
    "Index in `rows` of a [CLS] token that was added before the visual tokens."

    @classmethod
    def of(cls, plan_steps: PlanSteps) -> EnteringRows:
        """Return the rows of the text and of the current visual tokens."""
        placed = plan_steps.layout.position[plan_steps.whole.position]
        rows = np.sort(np.concatenate([plan_steps.text_rows(), placed]))
        return cls(rows, np.flatnonzero(np.isin(rows, placed)))

    def with_cls(self) -> EnteringRows:
        """Return the rows with a [CLS] token before the first visual token."""
        first = int(self.visual[0])
        # The new row repeats the prompt row, and so the position, of the first visual token; the
        # visual tokens move one row on.
        return EnteringRows(np.insert(self.rows, first, self.rows[first]), self.visual + 1, first)


def check_one_device(weights: Iterable[torch.Tensor]) -> None:
    """Raise ModelError when a device_map has spread the decoder's layers over several devices."""
    devices = sorted({str(weight.device) for weight in weights})
    if len(devices) > 1:
        raise ModelError(
            f"methods inside the language model need all layers on one device; device_map put "
            f"them on {', '.join(devices)}. Choose a method that acts before it, or load the model "
            "with device or bits instead of device_map."
        )


def make_prefill_input(
    family: Family, model: nn.Module, prepared: Prepared, shared: Vision, plan: Plan
) -> PrefillInput:
    """Carry out the steps in the tower and before the language model; prepare those inside it.

    Raises:
        InputError: a budget out of range.
        MissingSignal: a method needs what this model does not have.
    """
    plan_steps = carry_out(PlanSteps(family, model, prepared, shared), plan)
    features, sequence = plan_steps.features, EnteringRows.of(plan_steps)
    if plan_steps.whole.prefix_cls:
        features, sequence = plan_steps.with_cls(features), sequence.with_cls()
    repack = any(s.position_policy == "repack" for s in plan.steps if s.place != "language_model")
    index = torch.as_tensor(sequence.rows, device=prepared.positions.device)
    positions = prepared.positions[..., index]
    if any(step.position_policy == "mean" for step in plan.steps) and not repack:
        rows = torch.as_tensor(sequence.visual, device=positions.device)
        positions = with_mean_positions(plan_steps, rows, positions)
    if repack and plan_steps.whole.m < plan_steps.layout.n:
        # renumber from the first position on, with equal numbers on all axes of M-RoPE
        packed = torch.arange(len(index), device=positions.device)
        positions = prepared.positions[..., :1] + packed
    sliding = windows(family, model, prepared, index, repack)
    stages = decoder_stages(plan_steps, plan, sequence, positions, sliding)
    stages.members = member_positions(plan_steps, sequence, repack)
    stages.eviction = cache_eviction(plan_steps, plan, stages)
    ids = prepared.inputs["input_ids"]
    stages.unmerged, why_merged = None, why_not_unmerged(plan_steps, plan, repack)
    if why_merged == "":
        stages.windows = None  # the places are those of the full prompt
        index, stages.unmerged = unmerged_rows(plan_steps, sequence)
        positions = prepared.positions[..., index]
        features = Features(features.tokens[unmerged_features(plan_steps, index)])
    return PrefillInput(
        ids[:, index],
        positions,
        {
            name: value[:, index]
            for name, value in prepared.inputs.items()
            if value.shape == ids.shape and name not in ("input_ids", "attention_mask")
        },
        features,
        stages,
        PromptRows(plan_steps.whole, sequence.rows, sequence.visual, sequence.cls_row),
        plan_steps.records,
        plan_steps.encode_seconds,
        plan_steps.decide_seconds,
        plan_steps.notes,
        plan_steps.supplied,
        stages.members is not None,
        plan_steps.one_patch_each,
        plan_steps.moved,
        why_merged,
    )


def carry_out(plan_steps: PlanSteps, plan: Plan) -> PlanSteps:
    """Carry out the steps in the tower and before the language model."""
    for step in plan.steps:
        if step.entry is not None:
            step.entry.check_images(len(plan_steps.layout.sizes))
    for step in plan.at("tower"):
        plan_steps.through_tower(step)
    for step in plan.at("before"):
        plan_steps.before(step)
    return plan_steps


def decoder_stages(
    plan_steps: PlanSteps,
    plan: Plan,
    sequence: EnteringRows,
    positions: torch.Tensor,
    sliding: Windows | None,
) -> DecoderStages:
    """Return the stages of the step inside the language model; none if the plan has no such step.

    Args:
        plan_steps: the current visual tokens.
        plan: the plan.
        sequence: the rows that enter layer 0.
        positions: [..., 1, rows], their position ids.
        sliding: their sliding windows.
    """
    family, model = plan_steps.family, plan_steps.model
    decoder = family.decoder(model)
    step = next(iter(plan.at("language_model")), None)
    if step is not None:
        check_one_device(family.decoder(model).parameters())
    return DecoderStages(
        decoder,
        step,
        plan_steps.inside_stages(step, len(decoder.layers)),  # type: ignore[arg-type]
        torch.as_tensor(sequence.visual, device=positions.device),
        len(sequence.rows),
        plan_steps.whole.position,
        int(positions.reshape(-1, len(sequence.rows))[0, -1]) + 1,
        family.head_weight(model),
        carried(plan_steps, step),
        partial(family.rotary, decoder),
        sliding,
        partial(family.cap_logits, model),
        question_row(plan_steps, sequence),
    )


def cache_eviction(
    plan_steps: PlanSteps, plan: Plan, stages: DecoderStages
) -> CacheEviction | None:
    """Return what shortens the caches after the prefill; None where every token stays."""
    step = next(iter(plan.at("cache")), None)
    if step is None or step.entry is None:
        return None
    keep = plan_steps.budget(step)
    if len(plan_steps.layout.sizes) > 1:
        plan_steps.notes.append(f"{step.title} decides on the tokens of all images together.")
    if keep == plan_steps.whole.m:
        return None
    return CacheEviction(step, keep, stages, stages.decoder)


def member_positions(
    plan_steps: PlanSteps, sequence: EnteringRows, repack: bool
) -> MemberPositions | None:
    """Return the hook that gives merged tokens several positions; None where there is none."""
    members, family, prepared = plan_steps.members, plan_steps.family, plan_steps.prepared
    sections = family.rotary_sections(family.decoder(plan_steps.model))
    if members is None or repack or not sections:
        return None
    device = prepared.positions.device
    # [4, 1, s] with the plain ones first -> [3, m, k]
    own = torch.as_tensor(plan_steps.layout.position[members].astype(np.int64), device=device)
    rows = torch.as_tensor(sequence.visual, device=device)
    return MemberPositions(rows, prepared.positions[-len(sections) :, 0][:, own], sections)


def why_not_unmerged(plan_steps: PlanSteps, plan: Plan, repack: bool) -> str | None:
    """Return why attention cannot read merged tokens at their members' places.

    Returns:
        "" where it can, None where no method of the plan asks for it or nothing was merged.
    """
    first = plan.steps[0] if plan.steps else None
    if first is None or first.entry is None or not first.entry.unmerges(first.options):
        return None
    whole, family = plan_steps.whole, plan_steps.family
    if whole.is_selection:
        return None
    if repack:
        return "positions were renumbered"
    if first.position_policy == "mean":
        return "positions were averaged"
    if len(plan.steps) > 1:
        return f"{plan.steps[1].title} chose among the merged tokens"
    if plan.mitigation:
        return f"{plan.mitigation.label} acts on the merged tokens"
    if plan_steps.features.extra:
        return "this model adds features of the tower's layers in later layers"
    if layers_without_attention(family.decoder(plan_steps.model)):
        return "this model has layers without attention, which read a merged token once"
    if getattr(family.decoder(plan_steps.model).config, "hidden_size_per_layer_input", 0):
        return "the layers of this model have inputs of their own for each token"
    sliding = sliding_layers(family.decoder(plan_steps.model))
    if sliding and (whole.group < 0).any():
        return "newline tokens went, and this model has sliding windows"
    return ""


def unmerged_rows(
    plan_steps: PlanSteps, sequence: EnteringRows
) -> tuple[torch.Tensor, UnmergedRows]:
    """Return the prompt's rows with a row for every member, int64 [N], and their places."""
    device, layout = plan_steps.prepared.positions.device, plan_steps.layout
    group = plan_steps.whole.group
    row_at = np.full(len(plan_steps.prepared.asked.prompt_ids), -1)  # of each prompt row
    text = np.setdiff1d(np.arange(len(sequence.rows)), sequence.visual)
    row_at[sequence.rows[text]] = text
    members = np.flatnonzero(group >= 0)
    row_at[layout.position[members]] = sequence.visual[group[members]]
    index = np.flatnonzero(row_at >= 0)
    as_tensor = partial(torch.as_tensor, device=device)
    return as_tensor(index), UnmergedRows(as_tensor(row_at[index]))


def unmerged_features(plan_steps: PlanSteps, index: torch.Tensor) -> torch.Tensor:
    """Return which of the m features stands at each visual row of `index`, ascending, int64."""
    group = plan_steps.whole.group
    return torch.as_tensor(group[group >= 0], device=index.device)


def question_row(plan_steps: PlanSteps, sequence: EnteringRows) -> int | None:
    """Return the row of the last token of the user's own words; None where none was found."""
    own = plan_steps.prepared.text_rows
    return int(np.searchsorted(sequence.rows, int(own[-1]))) if len(own) else None


def windows(
    family: Family, model: nn.Module, prepared: Prepared, rows: torch.Tensor, repack: bool
) -> Windows | None:
    """Return the sliding windows of the sequence of these rows; None if no layer has a window."""
    decoder, total = family.decoder(model), prepared.positions.shape[-1]
    if not sliding_layers(decoder):
        return None
    if not repack:
        return Windows(decoder, rows, total, partial(family.window_mask, model, prepared.inputs))

    def build(places: torch.Tensor) -> torch.Tensor | None:
        return family.window_mask(model, prepared.inputs, rows[places])

    return Windows(decoder, torch.arange(len(rows), device=rows.device), len(rows), build)
