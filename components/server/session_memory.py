"""What the server remembers of each visitor, kept small.

Gradio's own memory grows with every run. An event that leaves a component as it is (`gr.skip`) or
changes a property makes Gradio build that component anew, under a new number; the next plain value
is then filed under that new number, beside the old one, for as long as the visitor is remembered.
It also keeps, for links which `RequestLimits` does not let through, a description of all components
and their last values per visitor, and forgets no visitor before thousands of others have come. Its
own settings (state_session_capacity, and time_to_live of gr.State) bound neither; a test tells when
Gradio has mended it, and this can go.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.state_holder import SessionState, StateHolder

IDLE = timedelta(hours=2)
"""A visitor who sent nothing for so long is forgotten; a page that is still open starts anew."""


class Session(SessionState):
    """One visitor: the state of the page, each component under its one number."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(blocks)
        self.config_values = {}

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(value, Block):
            value._id = key
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Draw up no description of a component."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep no copy of what was shown."""


class Sessions(StateHolder):
    """All visitors."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def delete_all_expired_state(self) -> None:
        """Forget what has expired, and whoever is gone. Gradio calls this every second."""
        super().delete_all_expired_state()
        longest = datetime.now() - IDLE
        for name, last in list(self.time_last_used.items()):
            if last < longest:
                with self.lock:
                    self.session_data.pop(name, None)
                    self.time_last_used.pop(name, None)


def remember_little(page: gr.Blocks) -> None:
    """Give a launched page this memory in place of Gradio's."""
    sessions = Sessions()
    sessions.set_blocks(page)
    page.app.state_holder = sessions
