"""The widgets of the comparison."""

from dataclasses import dataclass

from components.compare.lanes import Lanes


@dataclass
class ComparePanel:
    """Widgets that handlers read and write."""

    lanes: Lanes
