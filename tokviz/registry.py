"""A table of named entries to which built-in modules and plugins register in the same way.

A package's own modules are imported first, then every entry point of the group (`tokviz.methods`,
`tokviz.analyses`, `tokviz.mitigations`, `tokviz.families`). Importing a module runs its decorator,
which registers its entry. A plugin is left out, with all its entries, and listed in `broken` if it
fails to import, uses a name that is taken, or registers nothing or an object of another class.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from tokviz.errors import InputError
from tokviz.names import unknown

log = logging.getLogger(__name__)
T = TypeVar("T")


MAX_NAME = 60
RESERVED = set(",.=/\\%\"'`<>&$*?;:|()[]{}")
"""What commands, files and pages read as something else than a part of a name."""


def check_name(kind: str, name: object) -> None:
    """Raise ValueError unless a name is a short text of letters, digits, spaces, - or _."""
    plain = isinstance(name, str) and name == name.strip() and name.isprintable()
    if not plain or not 0 < len(str(name)) <= MAX_NAME or RESERVED & set(str(name)):
        raise ValueError(
            f"the {kind} name {str(name)[:MAX_NAME]!r} cannot be used: a name is 1 to {MAX_NAME} "
            "letters, digits, spaces, - or _."
        )


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping that fills itself on first use."""

    def __init__(self, kind: str, package: str, group: str, of: Callable[[], type[T]]) -> None:
        """Begin empty.

        Args:
            kind: the word for one entry, such as "method".
            package: the package whose modules have the built-in entries.
            group: the group of entry points.
            of: returns the class of all entries.
        """
        self.kind, self.package, self.group, self.of = kind, package, group, of
        self.broken: dict[str, str] = {}
        self._entries: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str, entry: T) -> T:
        """Register an entry.

        Raises:
            ValueError: the name is taken, or is none that a command line can carry.
            TypeError: an entry of another class.
        """
        check_name(self.kind, name)
        if not isinstance(entry, self.of()):
            raise TypeError(
                f"the {self.kind} {name!r} must be a {self.of().__name__}, got "
                f"{type(entry).__name__}; register it with the decorator."
            )
        if name in self._entries:
            raise ValueError(f"the {self.kind} name {name!r} is already taken.")
        self._entries[name] = entry
        return entry

    def remove(self, name: str) -> None:
        """Remove an entry (for tests of plugins)."""
        self._entries.pop(name, None)

    def __getitem__(self, name: str) -> T:
        self._load()
        if not isinstance(name, str) or name not in self._entries:
            raise InputError(unknown(self.kind, name, self._entries) + self.left_out())
        return self._entries[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry, or the default where there is none of this name."""
        self._load()
        return self._entries.get(name, default)

    def left_out(self) -> str:
        """Return a sentence with the plugins that failed, "" if none did."""
        if not self.broken:
            return ""
        return f" Plugins that were left out: {', '.join(sorted(self.broken))} (the log says why)."

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        home = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(home.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        for point in entry_points(group=self.group):
            before = dict(self._entries)
            try:
                point.load()
                if self._entries == before and point.name not in before:
                    raise ValueError(f"it registered no {self.kind}; is the decorator missing?")
            except (Exception, SystemExit) as error:  # a faulty plugin must not stop tokviz
                log.warning("the %s plugin %r was left out: %s", self.kind, point.name, error)
                self.broken[point.name] = f"{type(error).__name__}: {error}"[:300]
                self._entries = before
