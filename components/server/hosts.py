"""By which names may the server be asked for? The Host header of a request tells.

A page elsewhere can let its own name point at this machine (DNS rebinding); the browser then lets
it read whatever a server on a laptop answers, although nobody outside can reach that. Such a
request carries the page's name, so only the server's own names are served. An address in digits
cannot be pointed anywhere. Starlette's TrustedHostMiddleware takes a list of names and no addresses
in digits, of which a server on all interfaces cannot list its own; so this stays.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass

EVERYWHERE = ("0.0.0.0", "::", "")
HERE = ("localhost", "*.localhost")


@dataclass(frozen=True)
class Hosts:
    """The names that the server answers to."""

    names: tuple[str, ...] = HERE
    "Lower case; *.example.org = every name below example.org, * = every name."
    any_address: bool = False
    "Answer to every address in digits, not only to those of this machine alone (127.0.0.1, ::1)."

    def allow(self, header: str) -> bool:
        """Return whether a Host header names this server; an empty one comes from no browser."""
        name = name_of(header)
        if not name or name in self.names or "*" in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return any(name.endswith(one[1:]) for one in self.names if one.startswith("*."))
        return self.any_address or address.is_loopback


def name_of(header: str) -> str:
    """Return the name in a Host header: without port, brackets and closing dot, lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def served_hosts(server_name: str, listed: tuple[str, ...], environ: Mapping[str, str]) -> Hosts:
    """Return the names of a server.

    Args:
        server_name: the address or name that it listens on.
        listed: further names, from TOKVIZ_HOSTS.
        environ: on Spaces it says under which name the Space is served.
    """
    names, name = [*HERE, *(one.lower() for one in listed)], name_of(server_name)
    if server_name in EVERYWHERE:
        own = socket.gethostname().lower()
        names += [own, f"{own.partition('.')[0]}.local"]
    elif name:
        names.append(name)
    if environ.get("SPACE_ID"):
        names += [*filter(None, [environ.get("SPACE_HOST", "").lower()]), "*.hf.space"]
    alone = name in names[:1] or name.startswith("127.") or server_name == "::1"
    return Hosts(tuple(dict.fromkeys(names)), any_address=not alone)
