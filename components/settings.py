"""The settings of the server, read from the environment once, at the start.

`TABLE` lists all of them; docs/server.md shows its rows. A setting that is misspelt or cannot be
used ends the program at the start with one sentence and exit code 2. Nothing large is imported
here, so that the sentence comes at once.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokviz.capture import HEADS_MB

from .setting_readers import READERS, SettingError
from .setting_table import TABLE

READ_BY_TESTS = {"TOKVIZ_CHROMIUM", "TOKVIZ_TEST_WAIT", "TOKVIZ_ROOT"}
"""Settings of tests, which start servers with them in the environment; TOKVIZ_ROOT tells scripts
outside the repository where it is."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HOSTED = (
    "TOKVIZ_MODELS", "TOKVIZ_AUTH", "TOKVIZ_TRUST_PROXY", "TOKVIZ_HOSTS", "SPACE_ID",
    "GRADIO_ROOT_PATH", "GRADIO_SHARE",
)  # fmt: skip
"""Whoever sets one of these runs the page for others, or has chosen its models."""
ALL = "docs/server.md lists all settings."
PERSONAL_SHARE_HOURS = 168
"""For how long links are kept where only this machine reaches the page, unless it is set."""
PUBLIC_HEADS_MB = 2
"""Megabytes of single heads that an answer keeps on a server for others, unless it is set."""
LOAD_OPTIONS = ("device", "dtype", "bits", "device_map", "max_visual_tokens")


@dataclass(frozen=True)
class Settings:
    """How the page is run."""

    models: tuple[str, ...] = ("embedded",)
    max_new_tokens: int = 64
    queue: int = 256
    "Requests that may wait; more are turned away with a sentence."
    upload_mb: int = 20
    uploads_mb: int = 1000
    "Room for the uploads of all visitors together; the oldest go first."
    runs_mb: int = 512
    "Memory for the runs of all visitors together; the oldest are forgotten first."
    heads_mb: int | None = None
    "Megabytes of single heads that one answer keeps; None = see `single_heads_mb`."
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
    hosts: tuple[str, ...] = ()
    "Further names that the server answers to."
    metrics: str = ""
    "Serve counts at /metrics to whoever sends this word; empty = to nobody."
    mcp: bool = False
    "Offer the endpoints as tools of the Model Context Protocol."
    json_logs: bool = False
    examples: Path | None = None
    "A folder of traces to show as further examples."
    server_name: str = "127.0.0.1"
    server_port: int = 7860
    share_hours: int | None = None
    "Links to visitors' own runs are kept so long; 0 = there are none; None = see `link_hours`."
    personal: bool = False
    "For one person at this machine, who may choose any model."

    @property
    def single_heads_mb(self) -> int:
        """Megabytes of single heads that one answer keeps: little on servers for others."""
        if self.heads_mb is not None:
            return self.heads_mb
        return HEADS_MB if self.personal else PUBLIC_HEADS_MB

    @property
    def link_hours(self) -> int:
        """Hours for which links to visitors' own runs are kept: 0 on servers for others."""
        if self.share_hours is not None:
            return self.share_hours
        return PERSONAL_SHARE_HOURS if self.personal else 0


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; raises SettingError, which ends the program, for one that is wrong."""
    environ = os.environ if environ is None else environ
    refuse_unknown(environ)
    found = {setting.field: value_of(setting.name, environ) for setting in TABLE if setting.field}
    settings = Settings(**{name: value for name, value in found.items() if value is not None})
    settings = replace(settings, personal=is_personal(settings, environ))
    load_options(environ)
    if settings.auth and settings.mcp:
        raise SettingError(
            "TOKVIZ_MCP cannot be used with TOKVIZ_AUTH: MCP clients have no way to sign in, so "
            "the tools would be open to everybody. Leave one of them out."
        )
    if settings.mcp and importlib.util.find_spec("mcp") is None:
        raise SettingError('TOKVIZ_MCP needs a package that is missing: pip install "gradio[mcp]".')
    return settings


def is_personal(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Return whether only this machine reaches the page, and nothing says that it serves others."""
    return settings.server_name in LOOPBACK and not any(environ.get(name) for name in HOSTED)


def value_of(name: str, environ: Mapping[str, str]) -> Any:
    """Return one setting's value; None = it is not set, its default holds."""
    text = environ.get(name, "")
    if name == "TOKVIZ_TRUST_PROXY" and not text and environ.get("SPACE_ID"):
        return True
    if name == "GRADIO_SERVER_NAME" and not text and environ.get("SPACE_ID"):
        return "0.0.0.0"
    if not text:
        return None
    return READERS[name](name, text)


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """Raise SettingError for a TOKVIZ_* that nothing reads."""
    known = [setting.name for setting in TABLE]
    for name in sorted(environ):
        if name.startswith("TOKVIZ_") and name not in known and name not in READ_BY_TESTS:
            ends = [one.removeprefix("TOKVIZ_") for one in known]
            near = difflib.get_close_matches(name.removeprefix("TOKVIZ_"), ends, 1, 0.6)
            hint = (
                f"did you mean {known[ends.index(near[0])]}?"
                if near
                else "docs/server.md lists all settings."
            )
            raise SettingError(f"there is no setting {name[:80]}: {hint}")


def load_options(environ: Mapping[str, str] | None = None) -> dict[str, str | int]:
    """Return the arguments of `tokviz.load` that are set."""
    environ = os.environ if environ is None else environ
    found = {name: value_of(f"TOKVIZ_{name.upper()}", environ) for name in LOAD_OPTIONS}
    return {name: value for name, value in found.items() if value is not None}


def check_port(name: str, port: int) -> None:
    """Raise SettingError unless the server can listen there; Gradio tries for half a minute."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(place)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingError(
            f"the server cannot listen on {name} at port {port} ({why}): end what uses the port, "
            "or set GRADIO_SERVER_PORT or GRADIO_SERVER_NAME."
        ) from error
