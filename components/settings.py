"""How is the page run? The settings, read from the environment once, when the program starts."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the page is run; read from the environment once."""

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


def read_settings() -> Settings:
    """Return the settings from TOKVIZ_* in the environment; docs/server.md lists them."""
    names = os.environ.get("TOKVIZ_MODELS", "embedded").split(",")
    models = tuple(name.strip() for name in names if name.strip())
    if not models:
        raise SystemExit("TOKVIZ_MODELS must be names separated by commas, such as embedded.")
    auth, mcp = read_auth(os.environ.get("TOKVIZ_AUTH", "")), os.environ.get("TOKVIZ_MCP") == "1"
    if auth and mcp:
        raise SystemExit(
            "TOKVIZ_MCP cannot be used with TOKVIZ_AUTH: MCP clients have no way to sign in, so "
            "the tools would be open to everybody. Leave one of them out."
        )
    return Settings(
        models=models,
        max_new_tokens=whole_number("TOKVIZ_MAX_NEW_TOKENS", 64, 1, 1024),
        queue=whole_number("TOKVIZ_QUEUE", 64, 1, 10_000),
        upload_mb=whole_number("TOKVIZ_UPLOAD_MB", 20, 1, 20),
        uploads_mb=whole_number("TOKVIZ_UPLOADS_MB", 1000, 50, 1_000_000),
        runs_mb=whole_number("TOKVIZ_RUNS_MB", 512, 1, 1_000_000),
        max_seconds=whole_number("TOKVIZ_MAX_SECONDS", 300, 1, 86_400),
        requests_per_minute=whole_number("TOKVIZ_REQUESTS_PER_MINUTE", 600, 1, 10**9),
        auth=auth,
        trust_proxy=os.environ.get("TOKVIZ_TRUST_PROXY", "SPACE_ID" in os.environ and "1") == "1",
        connections=whole_number("TOKVIZ_CONNECTIONS", 500, 20, 1_000_000),
        metrics=read_metrics(os.environ.get("TOKVIZ_METRICS", "")),
        mcp=mcp,
        json_logs=os.environ.get("TOKVIZ_LOG") == "json",
    )


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Return a setting, or end the program with a sentence."""
    text = os.environ.get(name, str(default))
    if not (text.isdecimal() and least <= int(text) <= most):
        raise SystemExit(f"{name} must be a whole number from {least} to {most}, got {text!r}.")
    return int(text)


def read_auth(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of "name:password,name:password"."""
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    if any(not (name.strip() and password) for name, _, password in pairs):
        raise SystemExit("TOKVIZ_AUTH must be name:password, several separated by commas.")
    return tuple((name.strip(), password) for name, _, password in pairs)


def read_metrics(word: str) -> str:
    """Return the word that opens /metrics, or end the program with a sentence."""
    if word and not (len(word) >= 8 and word.isascii() and word.isprintable()):
        raise SystemExit(
            "TOKVIZ_METRICS must be a secret word of at least 8 plain characters, which whoever "
            "asks for /metrics sends as Authorization: Bearer <word>."
        )
    return word


def load_options() -> dict[str, str | int]:
    """Return device, dtype, bits and device_map for `tokviz.load`, as far as they are set."""
    texts = {name: os.environ.get(f"TOKVIZ_{name.upper()}", "") for name in LOAD_OPTIONS}
    return {name: int(text) if text.isdecimal() else text for name, text in texts.items() if text}


LOAD_OPTIONS = ("device", "dtype", "bits", "device_map")
