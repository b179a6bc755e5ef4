"""Gradients of an answer's log-probability, by visual features and by attention maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch

from tokviz.models.attention_call import AttentionCall
from tokviz.models.families.family import Features
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.teacher_forcing import TeacherForcing
from tokviz.models.runs.whole_maps import all_rows, joined_map


class AnswerGradients:
    """One question and its answer, read with autograd on; the weights get no gradient."""

    def __init__(
        self, loaded: Loaded, prepared: Prepared, reading: TeacherForcing, features: Features
    ) -> None:
        """Take the question, the reading of its answer without autograd, and its features."""
        self.loaded, self.prepared, self.reading = loaded, prepared, reading
        self.features = features
        self.all = np.arange(len(features.tokens))
        self._last: tuple[int, dict[int, list[torch.Tensor]]] = (-1, {})
        "An answer token and its gradients by layer: those of the latest call of `gradients`."

    @contextmanager
    def _differentiable(self) -> Iterator[TeacherForcing]:
        """Lock the model with autograd on, and copy the question's tensors.

        Tensors made in inference mode cannot be saved for a backward pass, their copies can.
        """
        with self.loaded.guarded(gradients=True):
            ready = Prepared(
                self.prepared.asked,
                {name: value.clone() for name, value in self.prepared.inputs.items()},
                self.prepared.positions.clone(),
                self.prepared.text_rows,
            )
            reading = TeacherForcing(self.loaded, ready, self.reading.answer[0].cpu().numpy())
            reading.on_read = self.reading.on_read
            yield reading

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the own answer's log-probability [b] of features [b, n, d]; differentiable."""
        b = len(features)
        with self._differentiable() as reading:
            extra = tuple(one.clone().repeat(b, 1) for one in self.features.extra)
            found = reading.own_answer([self.all] * b, Features(features.flatten(0, 1), extra))
            return reading.own(found).sum(-1)

    def gradients(self, layer: int, token: int) -> np.ndarray:
        """Return the gradient of one answer token's log-probability by a layer's map, [h, q, q]."""
        if self._last[0] != token:
            own, parts = self.graph
            flat = [part for calls in parts.values() for part in calls]
            found = torch.autograd.grad(own[token], flat, retain_graph=True, allow_unused=True)
            filled = iter(
                torch.zeros_like(part) if grad is None else grad
                for part, grad in zip(flat, found, strict=True)
            )
            grads = {layer: [next(filled) for _ in calls] for layer, calls in parts.items()}
            self._last = (token, grads)
        return joined_map(self._last[1][layer]).cpu().numpy()

    @cached_property
    def graph(self) -> tuple[torch.Tensor, dict[int, list[torch.Tensor]]]:
        """The own tokens' log-probabilities [t], differentiable, and the maps by layer."""
        parts: dict[int, list[torch.Tensor]] = {}

        def explicit(call: AttentionCall) -> torch.Tensor:
            weights = call.rows(all_rows(call))
            # a map of no visual row or key depends on no tensor that has a gradient
            if not weights.requires_grad:
                weights.requires_grad_()
            parts.setdefault(call.module.layer_idx, []).append(weights)  # type: ignore[arg-type]
            return call.output(weights)

        with self._differentiable() as reading:
            tokens = self.features.tokens.clone().requires_grad_()
            extra = tuple(one.clone() for one in self.features.extra)
            found = reading.own_answer([self.all], Features(tokens, extra), explicit)
            return reading.own(found)[0], parts
