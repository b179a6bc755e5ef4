"""A loaded model with its processor, family and lock, which every run uses.

This module imports no run. `tokviz.models.vlm.VLM` adds the methods that run the model.
"""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokviz.errors import ModelError
from tokviz.models.answer_text import AnswerText, control_ids, word_marks
from tokviz.models.checkpoints.known_pictures import KnownPictures
from tokviz.models.clip_text import ClipBeside
from tokviz.models.families.family import Family
from tokviz.models.families.layer_kinds import by_kind, layers_without_attention
from tokviz.models.families.shared_keys import last_row_layers
from tokviz.models.model_lock import ModelLock
from tokviz.models.model_state import ModelState
from tokviz.text.whole import whole_text
from tokviz.trace.layer_gaps import FACT, LAST_ROW

NO_TOKENIZER = (
    "the processor has no tokenizer: load both with AutoProcessor.from_pretrained, from a folder "
    "that has the tokenizer's files (tokenizer.json, tokenizer_config.json)."
)


class Loaded:
    """A model with its processor, behind a lock."""

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        family: Family,
        name: str,
        reason: str,
        clip: str | Path | None = None,
    ):
        """Take over a loaded model. It is changed only while it computes, see `guarded`.

        Args:
            model: the model.
            processor: its processor.
            family: its family.
            name: what to call it in traces.
            reason: why it is on its device and in its number type, as a clause.
            clip: the CLIP checkpoint that the vision tower comes from; None = what its config says.

        Raises:
            ModelError: a CLIP checkpoint that cannot be used.
        """
        self.model, self.processor, self.family = model, processor, family
        self.name = whole_text(name)
        self.reason = reason
        self.clip = ClipBeside(model, clip)
        self.lock = threading.RLock()
        self.found_sink_dims: tuple[int, ...] | None = None
        "The sink dimensions once they have been searched for, see `runs/sink_search.py`."
        self.state = ModelState(model)
        self.notes = family.notes(model)
        "Sentences about this model that hold for every run of it."
        self.known_pictures: KnownPictures | None = None
        "What the pictures look like that it learned from; None = not known."

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer; raise ModelError where there is none."""
        found = getattr(self.processor, "tokenizer", None)
        if found is None:
            raise ModelError(NO_TOKENIZER)
        return found

    @property
    def uses_template(self) -> bool:
        """True when prompts are written by the processor's chat template."""
        return getattr(self.processor, "chat_template", None) is not None

    @property
    def device(self) -> torch.device:
        """The device of the input embeddings."""
        return self.model.get_input_embeddings().weight.device  # type: ignore[operator]

    @property
    def info(self) -> dict[str, Any]:
        """Facts about the model, as stored in a trace."""
        config = self.model.config.get_text_config()  # type: ignore[union-attr, operator]
        return {
            "name": self.name,
            "family": self.family.name,
            "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            **self._unusual_layers,
            "hidden_size": config.hidden_size,
            "tower_layers": len(self.family.tower_layers(self.model)),
            "feature_layer": self.family.feature_layer(self.model),
            "has_cls": self.family.has_cls(self.model),
            **vision_sizes(self.model.config),
            "vocabulary": config.vocab_size,
            "parameters": self._parameters,
            "device": str(self.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "reason": self.reason,
        }

    @cached_property
    def word_marks(self) -> str:
        """How the tokenizer writes word starts, a key of `tokviz.text.token_bytes.MARKS`."""
        return word_marks(self.tokenizer)

    def answer_text(self) -> AnswerText:
        """Return an empty answer text, to which token ids are added one at a time."""
        controls = control_ids(self.tokenizer, self.processor, self.model)
        return AnswerText(self.tokenizer, self.word_marks, controls)

    @cached_property
    def _unusual_layers(self) -> dict[str, Any]:
        """The facts that name layers without attention or with the last row only; {} mostly."""
        decoder = self.family.decoder(self.model)
        kinds, shared = by_kind(layers_without_attention(decoder)), sorted(last_row_layers(decoder))
        return ({FACT: kinds} if kinds else {}) | ({LAST_ROW: shared} if shared else {})

    @cached_property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def guarded(self, gradients: bool = False, goes_on: bool = False) -> ModelLock:
        """Hold the model for one call: the lock, autograd or not, out-of-memory in plain words.

        Its attention can be observed meanwhile; afterwards the model is as it was.

        Args:
            gradients: autograd is on.
            goes_on: the call computes a further token of an answer.
        """
        return ModelLock(self.lock, self.state, gradients, goes_on)


def vision_sizes(config: Any) -> dict[str, int]:
    """Return the width of the vision tower and the side of a patch in pixels, where they are named.

    Qwen's towers call their width `embed_dim`; `hidden_size` is that of the language model there.
    """
    vision = getattr(config, "vision_config", None)
    patch = getattr(vision, "patch_size", None)
    if isinstance(patch, (list, tuple)) and patch:
        patch = patch[-1]
    width = getattr(vision, "embed_dim", None) or getattr(vision, "hidden_size", None)
    found = {"tower_width": width, "patch_size": patch}
    return {name: size for name, size in found.items() if type(size) is int and size > 0}
