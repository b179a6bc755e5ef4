"""Measures a sweep on Ray: one model per worker, on this machine or on a cluster.

    tokviz.sweep(..., engine=ray_engine(workers=4, gpus=0.5))

Ray distributes the workers, restarts workers that crash, and runs their unit again (restarts of
actors, retries of tasks). Only this process writes rows, so they are the same as without Ray. On a
cluster the pictures and local model folders must have the same path on every machine.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from tokviz.errors import InputError, ModelError, TokvizError
from tokviz.extras import how_to_install
from tokviz.sweeps.rows import Row
from tokviz.sweeps.worker import Terms, Unit, Worker

log = logging.getLogger(__name__)

LOCAL = {"include_dashboard": False, "_system_config": {"worker_niceness": 0}}
"Settings of Ray on this machine; with its default niceness (15) measured times would be longer."
RESTARTS = 4
"How often a worker may crash, and how often a unit is tried again, before the sweep stops."


class RayEngine:
    """An engine for `sweep`."""

    def __init__(
        self,
        workers: int = 1,
        gpus: float = 0.0,
        cpus: float = 1.0,
        address: str | None = None,
    ) -> None:
        """Check the numbers; the connection is made with the first unit.

        Args:
            workers: models that are loaded at once.
            gpus: share of a GPU that each worker gets, such as 0.5; 0 = it runs on the CPU.
            cpus: CPU cores of each worker; its torch uses as many threads.
            address: of an existing cluster, or "auto"; None = start Ray on this machine.

        Raises:
            InputError: Ray is not installed, or a number out of range.
        """
        if not 1 <= workers <= 1024:
            raise InputError(f"workers must be 1 to 1024, got {workers}.")
        if not 0 <= gpus <= 64 or not 0 < cpus <= 1024:
            raise InputError(f"a worker needs 0 to 64 GPUs and some CPU, got {gpus} and {cpus}.")
        self.ray, self.pool = ray_library()
        self.workers, self.gpus, self.cpus, self.address = workers, gpus, cpus, address

    def __call__(self, model: str, units: Sequence[Unit], terms: Terms) -> Generator[list[Row]]:
        """Yield the rows of each finished unit; raise ModelError if workers keep crashing."""
        if not units:
            return
        self.connect()
        count = min(self.workers, len(units))
        self.check_room(count)
        actors = self.actors(model, terms, count)
        try:
            yield from self.pool(actors).map_unordered(
                lambda actor, unit: actor.rows.remote(unit), list(units)
            )
        except TokvizError:
            raise
        except self.ray.exceptions.RayError as error:
            raise in_words(error) from error
        finally:
            for actor in actors:
                with suppress(self.ray.exceptions.RayError):
                    self.ray.kill(actor)

    def connect(self) -> None:
        """Join the cluster, or start Ray here."""
        if self.ray.is_initialized():
            return
        try:
            self.ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level="error",
                **({} if self.address else LOCAL),
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            hint = " Where the cluster asks for a token, set RAY_AUTH_MODE=token."
            raise InputError(
                f"Ray cannot be reached or started: {str(error)[:300].rstrip('.')}."
                + (hint if self.address else "")
            ) from error

    def check_room(self, count: int) -> None:
        """Raise InputError if this machine is too small for all workers, which would wait forever.

        A cluster may grow, so there it is only a warning.
        """
        there = self.ray.cluster_resources()
        for name, each in (("CPU", self.cpus), ("GPU", self.gpus)):
            if count * each <= there.get(name, 0):
                continue
            text = (
                f"{count} worker(s) with {each:g} {name}s each need {count * each:g}, Ray has "
                f"{there.get(name, 0):g}"
            )
            if self.address is None:
                raise InputError(f"{text}: take fewer workers, or less for each of them.")
            log.warning("%s now; those without a place wait until the cluster has grown.", text)

    def actors(self, model: str, terms: Terms, count: int) -> list[Any]:
        """Start the workers."""
        make = self.ray.remote(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )(RayWorker)
        return [make.remote(model, terms, max(1, int(self.cpus))) for _ in range(count)]


class RayWorker:
    """Runs in a worker's process; a restarted worker loads its model again."""

    def __init__(self, model: str, terms: Terms, threads: int) -> None:
        """Load the model."""
        import_module("torch").set_num_threads(threads)
        self.worker = Worker(model, terms)

    def rows(self, unit: Unit) -> list[Row]:
        """Measure one unit."""
        return [row for rows in self.worker.measure(unit) for row in rows]


def ray_library() -> tuple[Any, Any]:
    """Return ray and its ActorPool; raise InputError if Ray is not installed."""
    try:
        return import_module("ray"), import_module("ray.util").ActorPool
    except ImportError as error:
        raise InputError(
            f"--engine ray needs Ray, which is not installed: {how_to_install('ray')}."
        ) from error


def in_words(error: Exception) -> TokvizError:
    """Return the error of a worker as one that can be shown."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, TokvizError):
        return cause
    first = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ModelError(
        f"a worker could not go on ({type(error).__name__}: {first[:300]}). What was measured is "
        "saved; the same command goes on from there."
    )
