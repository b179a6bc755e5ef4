"""Which model answers? Models are loaded once, on first use, and shared by all visitors."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import tokviz
from tokviz.errors import InputError

MOST_LOADED = 2
_ALL: "WeakValueDictionary[str, Models]" = WeakValueDictionary()


def _find(key: str) -> "Models":
    return _ALL[key]


class Models:
    """The models that the page offers; at most MOST_LOADED stay in memory."""

    def __init__(
        self, names: Sequence[str] = ("embedded",), load: Callable[[str], Any] | None = None
    ) -> None:
        """Args: names that `tokviz.load` takes; another function to load them with."""
        self.names = tuple(names)
        self._load = load or tokviz.load
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._key = secrets.token_hex(8)
        _ALL[self._key] = self

    def __reduce__(self) -> tuple[Callable[[str], "Models"], tuple[str]]:
        """Pickle as a name: a forked process finds the models that it was forked with."""
        return (_find, (self._key,))

    def is_loaded(self, name: str) -> bool:
        """Return whether `get` will be quick."""
        return name in self._loaded

    def get(self, name: str) -> Any:
        """Return a model, loading it if need be.

        Raises:
            InputError: a name that this page does not offer.
            ModelError: it cannot be loaded.
        """
        if name not in self.names:
            known = ", ".join(self.names)
            raise InputError(
                f"this page does not offer the model {str(name)[:60]!r}, only {known}."
            )
        with self._lock:
            if name not in self._loaded:
                while len(self._loaded) >= MOST_LOADED:
                    self._loaded.popitem(last=False)
                self._loaded[name] = self._load(name)
            self._loaded.move_to_end(name)
            return self._loaded[name]
