"""Modules that have moved and whose old names stay importable, since other people's code has them.

`from tokviz.reduction.selection import top_k` gives the same module as its new name does, with a
DeprecationWarning that says the new name.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any


def _under(old: str, new: str, names: str) -> dict[str, str]:
    return {f"{old}.{name}": f"{new}.{name}" for name in names.split()}


MOVED = {
    **_under("tokviz", "tokviz.examine", "counterfactual diagnosis faithfulness pointing"),
    **_under("tokviz", "tokviz.reduction", "signal_table signals"),
    **_under("tokviz", "tokviz.trace", "export layout schema trace_io"),
    "tokviz.imports": "tokviz.trace.decisions",
    "tokviz.records": "tokviz.trace.stages",
    **_under(
        "tokviz.models",
        "tokviz.models.families",
        "family anyres gemma3 idefics3 internvl llava llava_next llava_onevision paligemma "
        "processors qwen2_5_vl qwen2_vl qwen3_vl siglip smolvlm sources",
    ),
    "tokviz.models.schedule_search": "tokviz.models.runs.schedule_search",
    **_under(
        "tokviz.reduction",
        "tokviz.reduction.parts",
        "bipartite coverage crops density destinations exits grouping kmeans kmedoids "
        "local_outliers question schedules selection similarity spatial",
    ),
}
"""Old name -> new name of every module that the documentation has named."""


class _Finder(MetaPathFinder, Loader):
    """Asked last, and only for modules that are not found under the name they are asked by."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        warnings.warn(f"{old} is now {MOVED[old]}.", DeprecationWarning, stacklevel=2)
        sys.modules[old] = import_module(MOVED[old])


def keep_old_paths() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
