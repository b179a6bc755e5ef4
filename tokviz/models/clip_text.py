"""CLIP's text side beside a model whose vision tower is CLIP's: relevance in the joint space.

CDPruner, HiPrune++ and Recoverable Compression compare patches with the question where CLIP was
trained to compare them. A checkpoint of a vision-language model holds CLIP's vision tower alone;
the text tower and both projections come from the CLIP checkpoint that the tower was taken from.
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, CLIPModel

from tokviz.errors import ModelError
from tokviz.models.checkpoints.checkpoint import check_complete
from tokviz.models.checkpoints.download import ProgressLine, local_copy
from tokviz.models.foreign_errors import at_load

log = logging.getLogger(__name__)

SAME = ("hidden_size", "num_hidden_layers", "patch_size", "image_size")
"""What a model's tower and CLIP's must share."""


class ClipText:
    """CLIP's text tower, and the projections of text and patches into their joint space."""

    def __init__(self, clip: CLIPModel, tokenizer: Any, name: str) -> None:
        """Keep what is needed; CLIP's own vision blocks are let go."""
        self.tokenizer, self.name = tokenizer, name
        self.text_model, self.text_projection = clip.text_model, clip.text_projection
        self.norm, self.project = clip.vision_model.post_layernorm, clip.visual_projection
        self.width = self.project.in_features
        self.length = clip.config.text_config.max_position_embeddings

    @torch.no_grad()
    def text(self, question: str) -> torch.Tensor:
        """Return the embedding of each stretch of at most 77 tokens of a question, [m, d].

        As in CDPruner's code: the last stretch is filled up with token 0, which is not attended to.
        """
        ids = self.tokenizer(question, return_tensors="pt").input_ids[0]
        stretches = -(-len(ids) // self.length)
        filled = ids.new_zeros(stretches * self.length)
        filled[: len(ids)] = ids
        mask = torch.arange(len(filled)) < len(ids)
        at = self.text_projection.weight.device
        found = self.text_model(
            input_ids=filled.view(stretches, -1).to(at),
            attention_mask=mask.long().view(stretches, -1).to(at),
        )
        return self.text_projection(found.pooler_output).float()

    @torch.no_grad()
    def patches(self, features: torch.Tensor) -> torch.Tensor:
        """Return the joint-space embedding [n, d] of features [n, d_v] that enter the projector."""
        given = features.to(self.project.weight)
        return self.project(self.norm(given)).float()


class ClipBeside:
    """The CLIP checkpoint that belongs to a model: given, named by its config, or none."""

    def __init__(self, model: nn.Module, given: str | Path | None = None) -> None:
        """Load a given one at once; one that the config names when a method asks for it.

        Raises:
            ModelError: a given one that cannot be loaded, or belongs to another tower.
        """
        self.model, self.given = model, given
        self.why_not = ""
        "Why there is none, as a clause."
        if given is not None:
            self.text = load_clip_text(given, model)

    @cached_property
    def text(self) -> ClipText | None:
        """CLIP's text side, or None; then `why_not` says why."""
        name = named_clip(self.model.config)
        if not name:
            self.why_not = "the checkpoint names no CLIP model; give one with load(..., clip=...)"
            return None
        try:
            return load_clip_text(name, self.model)
        except ModelError as error:
            self.why_not = str(error)
            return None


def named_clip(config: Any) -> str:
    """Return the CLIP checkpoint that a model's config says its tower comes from, "" if none."""
    vision = getattr(config, "vision_config", None)
    if getattr(vision, "model_type", "") != "clip_vision_model":
        return ""
    places = (
        (config, "mm_vision_tower"),
        (config, "vision_tower"),
        (vision, "_name_or_path"),
        (vision, "name_or_path"),
    )
    names = (getattr(owner, field, None) for owner, field in places)
    return next((name for name in names if isinstance(name, str) and "/" in name), "")


def load_clip_text(
    source: str | Path, model: nn.Module, progress: ProgressLine = log.info
) -> ClipText:
    """Return the text side of a CLIP checkpoint whose vision tower is the model's.

    Args:
        source: a Hub id or a folder.
        model: the vision-language model.
        progress: told in one line at a time how far it is.

    Raises:
        ModelError: nothing there, damaged files, or another tower than the model's.
    """
    try:
        folder = local_copy(str(source), None, progress)
        built: Any = CLIPModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        clip, found = built
        check_complete(found["missing_keys"])
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except ModelError as error:
        raise ModelError(_refused(source, str(error))) from error
    except Exception as error:  # files of strangers, read by transformers
        raise ModelError(_refused(source, at_load(error))) from error
    check_same_tower(clip.config.vision_config, model.config, source)
    text = ClipText(clip.eval(), tokenizer, str(source))
    device = model.get_input_embeddings().weight.device  # type: ignore[operator, union-attr]
    for part in (text.text_model, text.text_projection, text.norm, text.project):
        part.to(device).requires_grad_(False)
    return text


def check_same_tower(clip: Any, config: Any, source: str | Path) -> None:
    """Raise ModelError where CLIP's tower is not of the same build as the model's."""
    own = getattr(config, "vision_config", None)
    if getattr(own, "model_type", "") != "clip_vision_model":
        raise ModelError(_refused(source, "the model's vision tower is not CLIP's."))
    for name in SAME:
        theirs, ours = getattr(clip, name), getattr(own, name)
        if theirs != ours:
            raise ModelError(
                _refused(source, f"its tower has {name} {theirs}, the model's has {ours}.")
            )


def _refused(source: str | Path, reason: str) -> str:
    return f"the CLIP model {str(source)[:200]!r} cannot be used: {reason}"
