"""Whose request is it? One address, one visitor, also behind a proxy and with IPv6.

uvicorn reads X-Forwarded-For itself, but wants the address of each proxy; with "*" it takes the
first address of the header, which is the visitor's own claim (tried with 0.54). In a container or
on Spaces nobody knows the proxy's address, so the last address is read here: the one that the
nearest proxy wrote.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Any

VISITOR = "tokviz.visitor"
"""Key of a request's scope under which `RequestLimits` writes whose request it is."""


def visitor(address: str) -> str:
    """Return what counts as one visitor: an IPv4 address, or the /64 network of an IPv6 address.

    A single machine usually gets 2**64 IPv6 addresses, all in one such network.
    """
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address):
            if found.ipv4_mapped:
                return str(found.ipv4_mapped)
            return str(ipaddress.ip_network((found, 64), strict=False))
    return address


def visitor_of_request(scope: Any, trust_proxy: bool) -> str:
    """Return whose request it is; the proxy's word counts only where the operator trusts it."""
    forwarded = last_hop(scope) if trust_proxy else ""
    client = scope.get("client") or ("", 0)
    return visitor(forwarded or str(client[0]))


def headers_of(scope: Any, name: bytes) -> list[str]:
    """Return a header's values, one for each line that has it."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def last_hop(scope: Any) -> str:
    """Return the address that the nearest proxy wrote into X-Forwarded-For; "" without one.

    Several lines count as one, and a proxy writes at the end: what stands before is a claim.
    """
    hop = ",".join(headers_of(scope, b"x-forwarded-for")).rpartition(",")[2].strip()[:60]
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop  # some write a port as well
