"""The same images and the same answer under another prompt."""

from __future__ import annotations

import numpy as np
import torch

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.prompt_records import stacked_layers
from tokviz.models.families.family import Features
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.preparing import encode, prepare
from tokviz.models.runs.teacher_forcing import TeacherForcing
from tokviz.trace import Trace


class OtherPrompts:
    """Further forwards on the images of one trace, with other words around them."""

    def __init__(self, loaded: Loaded, prepared: Prepared, trace: Trace) -> None:
        """Args: the model, the question of the trace, and the trace."""
        self.loaded, self.prepared, self.trace = loaded, prepared, trace
        self.all = np.arange(trace.n)

    def general_attention(self, prompt: str) -> np.ndarray:
        """Return the last row's attention to the visual tokens, mean over heads, [l, n].

        NaN in layers without attention.
        """
        with self.loaded.guarded():
            other, features = self._asked(prompt)
            visual = torch.as_tensor(other.layout.position.astype(np.int64))
            found: dict[int, torch.Tensor] = {}

            def keep(call: AttentionCall) -> None:
                layer = getattr(call.module, "layer_idx", None)
                if layer is not None:
                    found[layer] = call.last_row().mean(0)[visual.to(call.key.device)].cpu()

            with observed(keep):
                other.prompt([self.all], features)
            layers = self.loaded.family.decoder(self.loaded.model).layers
            return stacked_layers(found, len(layers))  # type: ignore[arg-type]

    def reworded(self, prompt: str) -> float:
        """Return the log-probability of the run's own answer under that prompt."""
        with self.loaded.guarded():
            other, features = self._asked(prompt)
            found = other.own_answer([self.all], features)
            return float(other.own(found).sum())

    def _asked(self, prompt: str) -> tuple[TeacherForcing, Features]:
        """Return the other question, and the visual tokens under it.

        Raises:
            InputError: the images give another number of visual tokens under that prompt.
        """
        asked = self.prepared.asked
        shown = asked.film if asked.film else asked.images
        other = prepare(self.loaded, shown, prompt)
        if other.asked.layout.n != self.trace.n:
            raise InputError("under that prompt the images give another number of visual tokens.")
        features = encode(self.loaded, other, [None], Capture.nothing()).features
        return TeacherForcing(self.loaded, other, self.trace["answer_ids"]), features
