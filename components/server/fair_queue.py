"""Who is next? Gradio's queue, so that nobody can fill it alone, and nothing is left in it.

Gradio takes whoever came first, until the queue is full (`max_size` is its only setting): one
visitor with many questions keeps all others waiting, or out. Here every address has a share of the
places, and its second question waits behind everybody's first. The time that a visitor is told
while waiting is an upper limit (`WaitingTimes`). What a run has said and nobody has fetched is
thrown away, and so are Gradio's own statistics: they grow with every event and are made
again from the start after each. A proxy sees requests, not places in a queue, so none can do this.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gradio import Blocks
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.server_messages import EstimationMessage, ProcessCompletedMessage, ProcessStartsMessage
from starlette.requests import Request

from .visitors import VISITOR
from .waiting_time import WaitingTimes

SHARE = 0.75
"""Part of the places that one address may have; a classroom often shares one."""
MAX_UNREAD = 2000
"""Messages that a run may say before anybody listens; then nobody will."""
FETCHED_WITHIN = 120.0
"""Seconds in which what a finished run has said must be fetched."""


def visitor_of(event: Event) -> str:
    """Return whose event it is."""
    return str(event.request.scope.get(VISITOR, ""))


def in_turns(events: Sequence[Event]) -> list[Event]:
    """Return events with everybody's first one before anybody's second, else in their order."""
    before: Counter[str] = Counter()
    ranks = []
    for event in events:
        ranks.append(before[visitor_of(event)])
        before[visitor_of(event)] += 1
    order = sorted(range(len(events)), key=ranks.__getitem__)
    return [events[number] for number in order]


class FairQueue(Queue):
    """Gradio's queue with a share for everybody, in which one job can be cancelled alone."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.times = WaitingTimes()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        "Event id -> the task of a public endpoint's event that is being worked on."

    async def push(self, body: PredictBodyInternal, request: Any, username: str | None) -> Any:
        """Take an event in, or say why not."""
        waiting, places = self.waiting(request), self.max_size or 10**9
        if waiting >= max(1, int(SHARE * places)) or len(self) >= places:
            whose = f"{waiting} of them from your address" if waiting else "none of them yours"
            text = f"{len(self)} questions wait already, {whose}. Try again in a minute."
            return False, text, "queue_full"
        return await super().push(body, request, username)

    def broadcast_estimations(self, concurrency_id: str, after: int | None = None) -> None:
        """Put a line in turns, and tell who waits in it the place and an upper limit of the time.

        Args:
            concurrency_id: the line's.
            after: the place of an event that has just joined; only it and those behind it are told.
        """
        line = self.event_queue_per_concurrency_id[concurrency_id]
        joined = line.queue[after:] if after is not None else []
        line.queue[:] = in_turns(line.queue)
        first = line.queue.index(joined[0]) if joined else 0
        told = list(self.times.limits(line))
        if joined and visitor_of(joined[0]) not in map(visitor_of, line.queue[:first]):
            # a second question may be overtaken: it says nothing about how long runs take
            self.times.expect(joined[0], first + 1, told[first][0])
        for rank, event in enumerate(line.queue[first:], first):
            said = EstimationMessage(rank=rank, rank_eta=told[rank][1], queue_size=len(line.queue))
            self.send_message(event, said)

    def waiting(self, request: Request) -> int:
        """Return how many events of a request's address wait."""
        address = str(request.scope.get(VISITOR, ""))
        queues = self.event_queue_per_concurrency_id.values()
        return sum(visitor_of(event) == address for one in queues for event in one.queue)

    def send_message(self, event: Event, event_message: Any) -> None:
        """Say something to an event's visitor; end a run that nobody has listened to for long."""
        if event.session_hash not in self.pending_messages_per_session:
            event.alive = False
        if isinstance(event_message, ProcessStartsMessage):
            event_message.eta = self.times.limit_of_run(event)
        elif isinstance(event_message, ProcessCompletedMessage):
            self.times.ended(event, visitor_of(event), event_message.success)
        super().send_message(event, event_message)
        unread = self.pending_messages_per_session.get(event.session_hash)
        if unread is not None and unread.qsize() > MAX_UNREAD:
            event.alive = False
            self.pending_messages_per_session.pop(event.session_hash)

    async def process_events(self, events: list[Event], *args: Any) -> None:
        """Run events; forget what they have said if nobody fetches it."""
        task, first = asyncio.current_task(), events[0]
        self.times.began(first)
        if task is not None and first.fn.api_visibility == "public":
            # Gradio finds the tasks to cancel by their names, all of a session's at one endpoint.
            task.set_name(first._id)
            self.tasks[first._id] = task
        try:
            await super().process_events(events, *args)
        finally:
            self.tasks.pop(first._id, None)
            self.times.running.pop(first, None)
            later = asyncio.get_running_loop().call_later
            for event in events:
                later(FETCHED_WITHIN, self.forget, event.session_hash)

    async def remove_from_queue(self, event_id: str) -> None:
        """Forget an event that waits; of a public endpoint also end one that is worked on."""
        await super().remove_from_queue(event_id)
        await self.end([event_id])

    async def clean_events(
        self, *, session_hash: str | None = None, event_id: str | None = None
    ) -> None:
        """Forget and end the events of a visitor who has gone."""
        gone = [
            event._id
            for job in self.active_jobs
            for event in job or ()
            if event.session_hash == session_hash or event._id == event_id
        ]
        await super().clean_events(session_hash=session_hash, event_id=event_id)
        await self.end(gone)

    async def end(self, event_ids: Sequence[str]) -> None:
        """Cancel events of public endpoints; return once they have let the model go."""
        tasks = [task for one in event_ids if (task := self.tasks.get(one)) is not None]
        for task in tasks:
            if not task.cancelling():  # a second time would break off the end of its run
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def forget(self, session: str) -> None:
        """Drop a session's messages, unless it has asked for more."""
        if not self.holds(session):
            self.pending_messages_per_session.pop(session, None)
            self.pending_event_ids_session.pop(session, None)

    def holds(self, session: str) -> bool:
        """Return whether a session has an event that waits or is worked on."""
        return any(event.session_hash == session for event in self.event_ids_to_events.values())

    def compute_analytics_summary(self, records: Any) -> Any:
        """Return nothing: nobody may see it."""
        return self.cached_event_analytics_summary


def queued(page: Blocks, places: int) -> Blocks:
    """Give a page a fair queue with so many places; return the page."""
    old = page._queue  # `page.queue` would also make the web application anew, as `launch` does
    page._queue = FairQueue(
        live_updates=old.live_updates,
        concurrency_count=old.max_thread_count,
        update_intervals=old.update_intervals,
        max_size=places,
        blocks=page,
        default_concurrency_limit=8,
    )
    page._queue.ANALYTICS_MAX_EVENTS = 1
    return page
