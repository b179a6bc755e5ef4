"""How is the page run? The settings, read from the environment once, in app.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the page is run; read from the environment once, in app.py."""

    models: tuple[str, ...] = ("embedded",)
    max_new_tokens: int = 64
    queue: int = 64
    "Requests that may wait; more are turned away with a sentence."
    upload_mb: int = 20
    uploads_mb: int = 1000
    "Room for the uploads of all visitors together; the oldest go first."
    runs_mb: int = 512
    "Memory for the runs of all visitors together; the oldest are forgotten first."
    max_seconds: int = 300
    "A run is stopped after so many seconds; what is there is its answer."
    requests_per_minute: int = 600
    "Requests that one address may send; a classroom often shares one."
    connections: int = 500
    "Connections that one address may hold."
    auth: tuple[tuple[str, str], ...] = ()
    "Names and passwords; empty = everybody may come in."
    trust_proxy: bool = False
    "A proxy in front of the server writes X-Forwarded-For."
    metrics: str = ""
    "Serve counts at /metrics to whoever sends this word; empty = to nobody."
    mcp: bool = False
    "Offer the endpoints as tools of the Model Context Protocol."
    json_logs: bool = False
