"""Write a checkpoint of the first model as a folder that plain transformers loads.

``python -m embedded.export CHECKPOINT FOLDER``; ``embedded.train2 RUN`` reads it in RUN/first.
"""

import shutil
import sys
from pathlib import Path

import torch

from embedded.model import build_processor
from embedded.state import State, load_state

MODEL = Path(__file__).parents[1] / "assets" / "model"
"""The model that is shipped (``embedded.export_deep`` writes it)."""


def export(state: State, folder: Path) -> None:
    """Save float16 weights in shards below 10 MB and the processor beside them.

    Everything is written to a neighbour first and moved over file by file, so that a folder in
    use holds a loadable model at almost any moment.
    """
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    weights = {key: value.clone() for key, value in state.model.state_dict().items()}
    state.model.to(torch.float16).save_pretrained(fresh, max_shard_size="8MB")
    state.model.to(torch.float32).load_state_dict(weights)
    build_processor(state.tokenizer).save_pretrained(fresh)
    folder.mkdir(parents=True, exist_ok=True)
    stale = {path.name for path in folder.glob("model*")} - {p.name for p in fresh.iterdir()}
    for path in fresh.iterdir():
        path.chmod(0o644)
        path.replace(folder / path.name)
    for name in stale:
        (folder / name).unlink()
    fresh.rmdir()


if __name__ == "__main__":
    export(load_state(Path(sys.argv[1]), resume=False), Path(sys.argv[2]))
