"""The models that the page offers: loaded once, on first use, and shared by all visitors."""

import logging
import secrets
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import tokviz
from tokviz.capture import Capture
from tokviz.errors import InputError, ModelError, Stopped
from tokviz.models.checkpoints.download import STOPPED
from tokviz.models.checkpoints.placement import Placement, choose_placement
from tokviz.models.checkpoints.token_bound import token_bound

from ..setting_readers import SettingError, is_model
from .stops import Stop

log = logging.getLogger(__name__)

PLACING = ("device", "dtype", "device_map", "bits")
MAX_LOADED = 2
IMPORTING = "importing PyTorch and transformers"
POLL_INTERVAL_S = 0.2
"""Seconds between two checks of how far loading is."""
_BY_KEY: "WeakValueDictionary[str, Models]" = WeakValueDictionary()


def code_of_models() -> Callable[..., Any]:
    """Return `tokviz.load`; the first call imports torch, transformers and the code of models."""
    return tokviz.load


def fetch_files(*what: Any) -> None:
    """Download a model's files: `tokviz.models.checkpoints.loading.fetched`, imported on use."""
    from tokviz.models.checkpoints.loading import fetched  # noqa: PLC0415  it imports torch

    fetched(*what)


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


def smallest_first() -> list[str]:
    """Return the models with a card, by the memory they take."""
    return [card.name for card in sorted(tokviz.MODELS.values(), key=lambda card: card.memory_gb)]


def check_placement(options: Mapping[str, Any]) -> None:
    """Raise SettingError when no model can be loaded as the settings say, such as on a GPU."""
    if chosen := placing(options):
        try:
            choose_placement(**chosen)
        except ModelError as error:
            raise SettingError(f"TOKVIZ_{' or TOKVIZ_'.join(chosen).upper()}: {error}") from error


def placing(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments of `tokviz.load` that say where and in which numbers it runs."""
    return {name: options[name] for name in PLACING if name in options}


def pinned(place: str) -> tuple[str, str | None]:
    """Split a place such as owner/name@revision; a folder has no revision."""
    name, _, revision = place.partition("@")
    return (place, None) if Path(place).is_dir() else (name, revision or None)


def photograph_hint(models: "Models") -> str:
    """Return what to say of a visitor's own picture that the embedded model is asked about."""
    known = "The embedded model knows small rendered scenes only, so what it says of a photograph "
    if models.personal:
        return f"{known}means little: choose a real model, such as SmolVLM 256M (0.5 GB)."
    if len(models.names) > 1:
        return f"{known}means little: choose another model."
    return f"{known}means little: on a machine of your own tokviz offers real models."


class Models:
    """The models that the page offers; at most MAX_LOADED stay in memory."""

    def __init__(
        self,
        places: Sequence[str] = ("embedded",),
        load: Callable[[str], Any] | None = None,
        options: Mapping[str, Any] | None = None,
        personal: bool = False,
        capture: Capture | None = None,
    ) -> None:
        """Say what is offered.

        Args:
            places: what `tokviz.load` takes.
            load: another function to load them with.
            options: further arguments of `tokviz.load`, such as device.
            personal: the page is for one person at this machine, who may choose any model of the
                Hub or a folder, and is told why one cannot be loaded.
            capture: what the answers of the page record.
        """
        self.personal = personal
        self.capture = capture or Capture()
        self._places = offered([*places, *smallest_first()] if personal else places)
        self._given = load
        self.options = dict(options or {})
        "Further arguments of `tokviz.load`."
        self._progress: dict[str, str] = {}
        "Name -> how far its download and loading have come."
        self._lock, self._loading = threading.Lock(), threading.Lock()
        "Over what is in memory, and over reading weights into it, which goes one at a time."
        self._fetching: dict[str, threading.Lock] = {}
        "Name -> lock over its download: nobody waits for the download of another model."
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._key = secrets.token_hex(8)
        _BY_KEY[self._key] = self

    def __reduce__(self) -> tuple[Callable[[str], "Models"], tuple[str]]:
        """Pickle as a key: a forked process has the same models in memory under the same key."""
        return (_find, (self._key,))

    @property
    def names(self) -> tuple[str, ...]:
        """What visitors call the models."""
        return tuple(self._places)

    @property
    def choices(self) -> list[tuple[str, str]]:
        """(what the list of models shows, name) of each model."""
        return [(choice(name, place), name) for name, place in self._places.items()]

    def place(self, name: str) -> str:
        """Return what `tokviz.load` takes for a model that is offered."""
        return self._places[name]

    def add(self, place: str) -> str:
        """Offer a further model on a personal page; return its name.

        Raises:
            InputError: the page is not personal, or this is no folder and no Hub id.
        """
        place = place.strip()
        if place in self._places or not self.personal:
            self.check(place)
            return place
        if not is_model(place):
            raise InputError(
                "a model is the id of one on the Hub (owner/name, owner/name@revision) or a folder "
                "of this machine that exists."
            )
        with self._lock:
            self._places = offered([*self._places.values(), place])
            return next(name for name, one in self._places.items() if one == place)

    def placement(self) -> Placement:
        """Return where models are loaded, and in which numbers."""
        return choose_placement(**placing(self.options))

    def known_placement(self) -> Placement | None:
        """Return `placement`, or None where it would have to import torch first."""
        return self.placement() if "torch" in sys.modules else None

    def in_memory(self, name: str) -> Any:
        """Return a model that is in memory, or None."""
        return self._loaded.get(name)

    def bound_tokens(self, most: int | None) -> None:
        """Bound the visual tokens of one picture for whoever sits at a personal page.

        Models are loaded again at the next question.

        Args:
            most: 0 for no bound, None for the default of the device.

        Raises:
            InputError: the page is not personal.
            ModelError: not a whole number from 0 on.
        """
        if not self.personal:
            raise InputError("the number of visual tokens is the host's to choose on this page.")
        token_bound(most, "cpu")
        with self._lock:
            self.options["max_visual_tokens"] = most
            self._loaded.clear()

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

    def get(self, name: str, stop: Stop | None = None) -> Any:
        """Return a model; load it if it is not in memory.

        Args:
            name: one that is offered.
            stop: ends download and loading at their next step when it is set.

        Raises:
            InputError: a name that this page does not offer.
            ModelError: it cannot be loaded.
            Stopped: `stop` was set.
        """
        self.check(name)
        if (found := self._in_memory(name)) is not None:
            return found
        with self._lock:
            fetching = self._fetching.setdefault(name, threading.Lock())
        with fetching:
            if (found := self._in_memory(name)) is not None:
                return found
            self._progress[name] = ""
            return self._read(name, stop)

    def _in_memory(self, name: str) -> Any:
        """Return a model that is in memory, now the one used last, or None."""
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
            return self._loaded.get(name)

    def load_with_progress(self, name: str, stop: Stop | None = None) -> Iterator[str]:
        """Load a model if it is not in memory; yield how far loading is whenever that changes.

        A set `stop` ends the waiting at once; the download ends at its next block of bytes.

        Raises: as `get`.
        """
        self.check(name)
        pool, yielded = ThreadPoolExecutor(1), ""
        loading = pool.submit(self.get, name, stop)
        pool.shutdown(wait=False)
        while not wait([loading], POLL_INTERVAL_S).done:
            if stop is not None and stop.is_set():
                raise Stopped(STOPPED)
            if (said := self._progress.get(name, "")) != yielded:
                yielded = said
                yield said
        loading.result()

    def _load(self, name: str, stop: Stop | None) -> Any:
        """Download a model if need be, then make room in memory and read it."""
        place = self._places[name]
        if self._given is not None:
            return self._into_memory(name, partial(self._given, place))
        if "load" not in vars(tokviz):
            self._progress[name] = IMPORTING
        load, report = code_of_models(), partial(self._report, name)
        source, revision = pinned(place)
        if source != "embedded" and not Path(source).is_dir():
            fetch_files(source, self.placement(), revision, report, stop)
        options = self.options | ({"revision": revision} if revision else {})
        read = partial(load, source, progress=report, stop=stop, **options)
        return self._into_memory(name, read)

    def _into_memory(self, name: str, read: Callable[[], Any]) -> Any:
        """Read weights, after those that were used longest ago have gone."""
        with self._loading:
            with self._lock:
                while len(self._loaded) >= MAX_LOADED:
                    self._loaded.popitem(last=False)
            found = read()
            found.name = name
            with self._lock:
                self._loaded[name] = found
            return found

    def _report(self, name: str, line: str) -> None:
        self._progress[name] = line
        log.info("%s", line)

    def _read(self, name: str, stop: Stop | None) -> Any:
        """Load a model; of a failure, visitors of a public page learn only that it happened."""
        try:
            return self._load(name, stop)
        except Stopped:
            raise
        except ModelError as error:
            log.warning("the model at %s: %s", self._places[name], error)
            if self.personal:
                raise
            raise ModelError(
                f"the model {name[:60]!r} could not be loaded on this server; its log says why. "
                "Choose another model."
            ) from error
