"""What the panels of one page share: its settings, its models, its stored examples."""

from dataclasses import dataclass, field

from components.ask.examples import Stored
from components.runs.models import Models
from components.server.settings import Settings


@dataclass
class Site:
    """Everything that lives as long as the server."""

    settings: Settings = field(default_factory=Settings)
    stored: Stored = field(default_factory=Stored)
    models: Models = field(default_factory=Models)
