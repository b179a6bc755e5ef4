"""One browser tab without a browser: what the page's own events send, and what comes back."""

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import httpx


class Tab:
    """A visitor with the page open. Raises httpx.HTTPError when the server does not answer."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(timeout=300)
        page = self.http.get(address)
        page.raise_for_status()
        self.session = secrets.token_hex(6)
        self._config: dict[str, Any] | None = None

    def close(self) -> None:
        """Leave."""
        self.http.close()

    @property
    def config(self) -> dict[str, Any]:
        """The page's events and components, as the server announces them."""
        if self._config is None:
            self._config = self.http.get(f"{self.address}config").json()
        return self._config

    def send(self, name: str, data: Sequence[Any], event_data: Any, where: str) -> httpx.Response:
        """Send the page's first event of this name."""
        events = self.config["dependencies"]
        event = next(e for e in events if any(target[1] == name for target in e["targets"]))
        body = {
            "data": list(data),
            "event_data": event_data,
            "fn_index": event["id"],
            "trigger_id": event["targets"][0][0],
            "session_hash": self.session,
        }
        answer = self.http.post(f"{self.address}gradio_api/{where}", json=body)
        answer.raise_for_status()
        return answer

    def quick(self, name: str, event_data: Any = None) -> list[Any]:
        """Send an event that does not wait for the model; return its outputs."""
        return self.send(name, [], event_data, "run/predict").json()["data"]

    def queued(self, name: str, data: Sequence[Any], event_data: Any) -> Iterator[dict[str, Any]]:
        """Send an event that waits for the model; yield the server's messages until it is done."""
        self.send(name, data, event_data, "queue/join")
        listen = f"{self.address}gradio_api/queue/data?session_hash={self.session}"
        with self.http.stream("GET", listen) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    yield message
                    if message["msg"] in ("process_completed", "close_stream"):
                        return

    def look(self, example: str) -> bool:
        """Open a stored example as a click on it does; return whether it is what came back."""
        shown = self.quick("pick", {"example": example})
        return any(isinstance(value, dict) and example in json.dumps(value) for value in shown)
