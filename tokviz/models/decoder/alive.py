"""Which rows of the prompt are alive in which decoder layer, and which of them are visual tokens.

A row is alive in a layer if no stage before that layer removed it. Rows are numbered by their index
in the sequence that entered layer 0, also after removals. A layer in which fewer rows are alive has
a shorter input, and therefore a shorter KV cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


class AliveRows:
    """The rows that are alive now, and those that entered each layer so far."""

    def __init__(
        self,
        visual: torch.Tensor,
        length: int,
        index: np.ndarray,
        carried: dict[str, Any] | None = None,
        question: int | None = None,
    ) -> None:
        """Begin with every row alive.

        Args:
            visual: [m] rows that are visual tokens, ascending.
            length: number of rows of the sequence that enters layer 0.
            index: [m] original number of each visual token.
            carried: signals that the vision tower hands over, one value per visual token.
            question: row of the last token of the user's own words; None = the last row.
        """
        self.length = length
        self.alive = self.every_row = torch.arange(length, device=visual.device)
        "[rows alive], ascending."
        self.visual = self.visual_at_start = visual
        "[m], those of `alive` that are visual tokens."
        self.index = self.index_at_start = torch.as_tensor(index, device=visual.device)
        "[m], original number of each visual token that is alive."
        self.carried = dict(carried or {})
        "Signal -> [..., m], of the visual tokens that are alive."
        self.question = length - 1 if question is None else question
        "Row of the last token of the user's own words; text rows stay alive."
        self.rows_in: dict[int, torch.Tensor] = {}
        "Decoder layer -> rows that entered it, of layers from the first stage on."

    def rows_at(self, layer: int) -> torch.Tensor:
        """Return the rows that entered a layer, ascending."""
        return self.rows_in.get(layer, self.every_row)

    def alike(self, layers: Iterable[int]) -> list[list[int]]:
        """Return decoder layers in groups; in a group, the same rows of the prompt are alive."""
        found: dict[int, list[int]] = defaultdict(list)
        for layer in layers:
            found[id(self.rows_in.get(layer))].append(layer)
        return list(found.values())

    def local(self) -> torch.Tensor:
        """Return where the visual tokens lie among the rows that are alive, [m]."""
        return torch.searchsorted(self.alive, self.visual)

    def leave_only(self, stays: torch.Tensor, kept: torch.Tensor) -> None:
        """Remove rows.

        Args:
            stays: bool [rows alive], True = stays.
            kept: int [m'], which of the visual tokens stay, as indices in `visual`; in the
                order of the method, which need not be ascending.
        """
        # `visual` must stay ascending; `index` and `carried` keep the order of the method
        places = self.local()[kept].sort().values
        self.visual, self.alive = self.alive[places], self.alive[stays]
        self.index = self.index[kept]
        self.carried = {name: value[..., kept] for name, value in self.carried.items()}

    def bring_all_back(self) -> None:
        """Make every row alive again."""
        self.alive = self.every_row
        self.visual, self.index = self.visual_at_start, self.index_at_start
