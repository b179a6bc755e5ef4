"""tokviz: which visual tokens does a vision-language model really use?

    vlm = tokviz.load("embedded")
    trace = vlm.answer([image], "is there a dog ?", plan=tokviz.plan("fastervlm", keep=64))

The names below are imported when they are first used, so that `import tokviz` is quick and writing
a trace pulls in neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokviz.notebook_display import make_with
from tokviz.old_paths import MOVED, keep_old_paths

if TYPE_CHECKING:
    from tokviz.analysis import ANALYSES, analyse
    from tokviz.errors import InputError, MissingSignal, ModelError, TokvizError, TraceError
    from tokviz.examine.diagnosis import diagnose
    from tokviz.matrix import Reduction
    from tokviz.mitigation import MITIGATIONS
    from tokviz.models import FAMILIES, MODELS, load
    from tokviz.plans import plan
    from tokviz.reduction import METHODS, reduce
    from tokviz.sweeps.running import sweep
    from tokviz.trace import Trace, open_trace

__version__ = "0.1.0"

_HOME = {
    "ANALYSES": "tokviz.analysis",
    "FAMILIES": "tokviz.models",
    "Film": "tokviz.film",
    "InputError": "tokviz.errors",
    "METHODS": "tokviz.reduction",
    "MITIGATIONS": "tokviz.mitigation",
    "MODELS": "tokviz.models.checkpoints.cards",
    "MissingSignal": "tokviz.errors",
    "ModelError": "tokviz.errors",
    "Reduction": "tokviz.matrix",
    "TokvizError": "tokviz.errors",
    "Trace": "tokviz.trace",
    "TraceError": "tokviz.errors",
    "analyse": "tokviz.analysis",
    "diagnose": "tokviz.examine.diagnosis",
    "load": "tokviz.models",
    "open_film": "tokviz.film",
    "open_trace": "tokviz.trace",
    "plan": "tokviz.plans",
    "reduce": "tokviz.reduction",
    "sweep": "tokviz.sweeps.running",
}
__all__ = [
    "ANALYSES",
    "FAMILIES",
    "METHODS",
    "MITIGATIONS",
    "MODELS",
    "Film",
    "InputError",
    "MissingSignal",
    "ModelError",
    "Reduction",
    "TokvizError",
    "Trace",
    "TraceError",
    "__version__",
    "analyse",
    "diagnose",
    "load",
    "open_film",
    "open_trace",
    "plan",
    "reduce",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use."""
    if f"{__name__}.{name}" in MOVED:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        guess = import_module("tokviz.names").did_you_mean(name, __all__)
        raise AttributeError(f"module 'tokviz' has no attribute {name!r}.{guess}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})


def _later(module: str, function: str) -> Callable[..., Any]:
    """Return a function that imports another one's home when it is first called."""

    def call(*given: Any, **options: Any) -> Any:
        return getattr(import_module(module), function)(*given, **options)

    return call


make_with(
    trace=_later("tokviz.view.notebook", "frame"),
    result=_later("tokviz.view.cells", "result_cell"),
    reduction=_later("tokviz.view.cells", "reduction_cell"),
    table=_later("tokviz.view.tables", "table"),
    plot=_later("tokviz.view.plots", "plot"),
)
keep_old_paths()
