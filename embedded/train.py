"""Trains the first model from random weights; ``embedded.train2`` starts from it.

``python -m embedded.train FOLDER`` runs four phases on two CPU cores, one after the other, and
takes up again where it was stopped: ``tower`` (no decoder, only read-outs per patch), ``reader``
(tower frozen, the decoder learns to answer, guided), ``polish`` (the tower again, to count
better) and ``answers`` (tower frozen, plain loss). Then
``python -m embedded.export FOLDER/answers.pt RUN/first`` writes it for ``embedded.train2 RUN``.
"""

import argparse
import logging
from pathlib import Path

import torch

from embedded.state import State, load_state, new_state
from embedded.train_reader import ReaderPhase, train_reader
from embedded.train_tower import train_tower

TOWER = {"steps": 1000, "full_from": 0.75, "batch": 48, "lr": 3e-3, "words": True,
         "repeated": 0.0, "first": 0}  # fmt: skip
READER = ReaderPhase("reader", steps=600, batch=16, lr=2e-3, guide_until=1.0, half_until=1.0)
POLISH = {"steps": 360, "full_from": 0.0, "batch": 40, "lr": 8e-4, "words": False,
          "repeated": 0.4, "first": 3 * 10**6}  # fmt: skip
ANSWERS = ReaderPhase("answers", steps=190, batch=16, lr=1.2e-3, half_until=0.6,
               visible=(24, 36, 48, 72), first=5 * 10**6)  # fmt: skip


def resume_phase(folder: Path, name: str, before: str = "") -> State:
    """Resume a phase, or start it from the end of the phase before."""
    if (folder / f"{name}.pt").exists():
        return load_state(folder / f"{name}.pt", resume=True)
    return load_state(folder / f"{before}.pt", resume=False) if before else new_state()


def main() -> None:
    """Run the phases that are not finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the checkpoints are kept")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    out = options.folder
    train_tower(resume_phase(out, "tower"), out, name="tower", **TOWER)
    train_reader(resume_phase(out, "reader", "tower"), out, READER)
    train_tower(resume_phase(out, "polish", "reader"), out, name="polish", **POLISH)
    train_reader(resume_phase(out, "answers", "polish"), out, ANSWERS)


if __name__ == "__main__":
    main()
