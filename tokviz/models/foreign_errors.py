"""Errors of code that tokviz does not write: which they are, and what a person reads of them.

A checkpoint brings a processor, a chat template and a model whose code is transformers' (or that of
a package under it). What goes wrong there is told in one sentence; the traceback is in the log.
"""

from __future__ import annotations

import errno
import sys
from types import TracebackType

from huggingface_hub.errors import StrictDataclassError

MODEL_CODE = frozenset(
    ("transformers", "jinja2", "accelerate", "bitsandbytes", "peft", "safetensors", "tokenizers")
)
"""Packages whose code a checkpoint runs through."""
BELOW = frozenset(("torch", "numpy", "PIL", "torchvision", *sys.stdlib_module_names))
"""Packages that others call: an error inside them belongs to the caller."""


def raised_by(error: BaseException) -> str | None:
    """Return the package of MODEL_CODE in which an error was raised, None where in no such one.

    The innermost frame decides that is not of a package in BELOW: a hook or a method that fails
    while transformers calls it is not transformers' fault.
    """
    for frame in reversed(_frames(error.__traceback__)):
        if frame not in BELOW:
            return frame if frame in MODEL_CODE else None
    return None


def _frames(trace: TracebackType | None) -> list[str]:
    """Return the package of each frame, the outermost first; a template has none."""
    found = []
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__")
        # jinja2 compiles a template to a module without a name
        found.append(str(name).partition(".")[0] if name else "jinja2")
        trace = trace.tb_next
    return found


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line of at most 300 characters without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # the reason of a wrong config stands in the second line
    found = lines[1] if isinstance(error, StrictDataclassError) and len(lines) > 1 else lines[0]
    return found.strip()[:300].rstrip(".: ")


def at_load(error: BaseException) -> str:
    """Say why a checkpoint cannot be loaded."""
    if isinstance(error, ImportError):
        return f"it needs a package that is not installed here. {first_line(error)}."
    if isinstance(error, OSError) and error.errno is not None:  # of the system, not of a library
        return _at_files(error)
    return f"{first_line(error)}. Its files are damaged or don't fit together."


def _at_files(error: OSError) -> str:
    """Say why a file could not be read or written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "the disk is full: free some, or set HF_HOME to a folder on another disk. What was "
            "downloaded is kept."
        )
    return f"a file cannot be read or written here: {first_line(error)}."


def at_run(error: BaseException, package: str) -> str:
    """Say that the model or its processor failed on a question."""
    if isinstance(error, ImportError):
        return f"the model needs a package that is not installed here. {first_line(error)}."
    return (
        f"{package} could not run this model on this question ({first_line(error)}). Try another "
        "picture; if none works, the checkpoint's files don't fit this version of transformers."
    )
