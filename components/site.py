"""The state that the whole server shares: one `Site`, which every handler gets."""

import os
import re
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .runs.after_first_page import AfterFirstPage
from .runs.journal import Journal
from .runs.models import Models
from .runs.pictures import Pictures
from .runs.results import Results
from .runs.runs import KeptRun, Runs
from .runs.shared_runs import SharedRuns
from .runs.stops import Stops
from .runs.stored_examples import StoredExamples
from .settings import Settings


@dataclass
class Site:
    """What the panels, the endpoints and the server share."""

    settings: Settings = field(default_factory=Settings)
    stored: StoredExamples = field(default_factory=StoredExamples)
    models: Models = field(default_factory=Models)
    runs: Runs = field(init=False)
    "What visitors have run, the newest first to stay."
    results: Results = field(default_factory=Results)
    "Results of analyses."
    stops: Stops = field(default_factory=Stops)
    "Which sessions have a run, and how to stop it."
    pictures: Pictures = field(default_factory=Pictures)
    "Opens what visitors upload, a few at the same time."
    shared: SharedRuns = field(init=False)
    "Runs that visitors made links to."
    journal: Journal = field(default_factory=Journal)
    "Counts of runs for the operator."
    later: AfterFirstPage = field(default_factory=AfterFirstPage)
    "What the server does once the first page is drawn."
    stopping: threading.Event = field(default_factory=threading.Event)
    "Set when the server has to stop."

    def __post_init__(self) -> None:
        self.runs = Runs(self.settings.runs_mb * 2**20)
        folder = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir(), "tokviz-shared")
        self.shared = SharedRuns(folder, self.settings.link_hours)

    def run(self, name: object) -> KeptRun | None:
        """Return a run by its name, as a browser sends it; None when it is not kept (any more)."""
        if not isinstance(name, str):
            return None
        return self.runs.get(name) or self.stored.run(name)

    def lane(self, name: object) -> tuple[KeptRun, int] | None:
        """Return the run and lane of "<run>:<lane>", as a browser sends it; None = not kept.

        Names of runs cannot be guessed, so whoever sends one may have what belongs to it. A stored
        example's holds the name of its file, whatever letters that has.
        """
        found = re.fullmatch(r"(.+):(-?[0-9]{1,3})", name, re.S) if isinstance(name, str) else None
        run = self.run(found[1]) if found else None
        if found is None or run is None or int(found[2]) not in run.traces:
            return None
        return run, int(found[2])
