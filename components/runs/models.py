"""The models that the page offers: loaded once, on first use, and shared by all visitors."""

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import tokviz
from tokviz.errors import InputError, ModelError
from tokviz.models.checkpoints.placement import choose_placement

from ..setting_readers import SettingError

log = logging.getLogger(__name__)

MAX_LOADED = 2
POLL_INTERVAL_S = 0.2
"""Seconds between two checks of how far loading is."""
_BY_KEY: "WeakValueDictionary[str, Models]" = WeakValueDictionary()


def _find(key: str) -> "Models":
    return _BY_KEY[key]


def offered(places: Sequence[str]) -> dict[str, str]:
    """Return name -> place. A folder goes by its last part: the server's paths are not shown."""
    found: dict[str, str] = {}
    for place in dict.fromkeys(places):
        path = Path(place)
        plain = path.name if path.is_absolute() or path.is_dir() else place
        name, number = plain, 2
        while name in found:
            name, number = f"{plain} ({number})", number + 1
        found[name] = place
    return found


def choice(name: str, place: str) -> str:
    """Return what the list of models shows: the model's card, where there is one."""
    card = tokviz.MODELS.get(pinned(place)[0])
    return card.line if card else name


def check_placement(options: Mapping[str, Any]) -> None:
    """Raise SettingError when no model can be loaded as the settings say, such as on a GPU."""
    if options:
        try:
            choose_placement(**options)
        except ModelError as error:
            raise SettingError(f"TOKVIZ_{' or TOKVIZ_'.join(options).upper()}: {error}") from error


def pinned(place: str) -> tuple[str, str | None]:
    """Split a place such as owner/name@revision; a folder has no revision."""
    name, _, revision = place.partition("@")
    return (place, None) if Path(place).is_dir() else (name, revision or None)


class Models:
    """The models that the page offers; at most MAX_LOADED stay in memory."""

    def __init__(
        self,
        places: Sequence[str] = ("embedded",),
        load: Callable[[str], Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Say what is offered.

        Args:
            places: what `tokviz.load` takes.
            load: another function to load them with.
            options: further arguments of `tokviz.load`, such as device.
        """
        self._places = offered(places)
        self.names = tuple(self._places)
        "What visitors call them."
        self.choices = [(choice(name, place), name) for name, place in self._places.items()]
        "(what the list of models shows, name)"
        self._load, self._options = load or self._load_here, dict(options or {})
        self._progress = ""
        "How far loading has come."
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._key = secrets.token_hex(8)
        _BY_KEY[self._key] = self

    def __reduce__(self) -> tuple[Callable[[str], "Models"], tuple[str]]:
        """Pickle as a key: a forked process has the same models in memory under the same key."""
        return (_find, (self._key,))

    def is_loaded(self, name: str) -> bool:
        """Return whether a model is in memory."""
        return name in self._loaded

    def check(self, name: Any) -> None:
        """Raise InputError for a name that this page does not offer."""
        if not isinstance(name, str) or name not in self.names:
            known = ", ".join(self.names)
            raise InputError(
                f"this page does not offer the model {str(name)[:60]!r}, only {known}."
            )

    def get(self, name: str) -> Any:
        """Return a model; load it if it is not in memory.

        Raises:
            InputError: a name that this page does not offer.
            ModelError: it cannot be loaded.
        """
        self.check(name)
        with self._lock:
            if name not in self._loaded:
                while len(self._loaded) >= MAX_LOADED:
                    self._loaded.popitem(last=False)
                self._progress = ""
                self._loaded[name] = self._read(name)
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def load_with_progress(self, name: str) -> Iterator[str]:
        """Load a model if it is not in memory; yield how far loading is whenever that changes.

        Raises: as `get`.
        """
        self.check(name)
        pool, yielded = ThreadPoolExecutor(1), ""
        loading = pool.submit(self.get, name)
        pool.shutdown(wait=False)
        while not wait([loading], POLL_INTERVAL_S).done:
            if self._progress != yielded:
                yielded = self._progress
                yield yielded
        loading.result()

    def _load_here(self, place: str) -> Any:
        name, revision = pinned(place)
        options = self._options | ({"revision": revision} if revision else {})
        return tokviz.load(name, progress=self._report, **options)

    def _report(self, line: str) -> None:
        self._progress = line
        log.info("%s", line)

    def _read(self, name: str) -> Any:
        """Load a model; its path and the reason of a failure are written to the log only."""
        place = self._places[name]
        try:
            found = self._load(place)
        except ModelError as error:
            log.warning("the model at %s: %s", place, error)
            raise ModelError(
                f"the model {name[:60]!r} could not be loaded on this server; its log says why. "
                "Choose another model."
            ) from error
        found.name = name
        return found
