"""How is embedded model 2 trained? ``python -m embedded.train2 FOLDER`` trains or resumes.

FOLDER/first must hold the first model (``embedded.train``, then ``embedded.export CHECKPOINT
FOLDER/first``): its tower grows and teaches. Stages run one after the other; a stage whose file
``FOLDER/STAGE.pt`` is there is over. Stop it at any time: the newest checkpoint is at most a few
minutes old.
"""

import argparse
import logging
from functools import partial
from pathlib import Path

import torch

from embedded.train_deep_reader import DEEP_STAGES, PIECES, train_deep_reader
from embedded.train_fine_tower import train_fine_tower

STAGES = {
    "tower": train_fine_tower,
    "pieces": partial(train_deep_reader, plan=PIECES),
    **{plan.stage: partial(train_deep_reader, plan=plan) for plan in DEEP_STAGES},
}
"""What runs, in this order."""


def main() -> None:
    """Run the stages that are not over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the checkpoints are kept")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--until", choices=STAGES, help="the last stage to run")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for name, train in STAGES.items():
        train(options.folder)
        if name == options.until:
            break


if __name__ == "__main__":
    main()
