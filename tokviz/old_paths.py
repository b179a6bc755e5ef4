"""Old names of moved modules, which stay importable for code of other people.

`from tokviz.reduction.selection import top_k` imports the module under its new name, with a
DeprecationWarning that has the new name.
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
"""Old name -> new name of every moved module that was documented."""


class _Finder(MetaPathFinder, Loader):
    """Finds moved modules; Python uses it last, only for names that nothing else finds."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        warnings.warn(f"{old} is now {MOVED[old]}.", DeprecationWarning, stacklevel=2)
        sys.modules[old] = import_module(MOVED[old])


def keep_old_paths() -> None:
    """Make the old names importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
