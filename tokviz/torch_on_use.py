"""PyTorch, imported when one of its names is first used: `from tokviz.torch_on_use import torch`.

`import torch` takes as long as half of the page's start. Methods and mitigations are declared in
the files that compute them, and menus, lists and stored traces want the declarations alone. A file
that computes may also write `import torch`; then whoever lists its declaration waits for it.

Annotations and default values must not name a thing of torch when the file is imported: such a file
begins with `from __future__ import annotations`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


class OnUse(ModuleType):
    """A module that is imported when one of its names is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who looks at a module from outside does not use it
            raise AttributeError(f"module {self.__name__!r} on use has no attribute {name!r}")
        return getattr(import_module(self.__name__), name)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle as the name of the module."""
        return import_module, (self.__name__,)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = OnUse("torch")
