"""Store the film example of the first screen: python -m scripts.store_film

The embedded model was taught single pictures, so a tiny Qwen2.5-VL with random weights answers: its
words mean nothing, and the example says so. Frames, their times, the removal and the numbers are
those of a real run. The film is drawn here: a dog walks from left to right, a tree stands still.
"""

import json
import logging
import string
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import tokviz
from embedded.sprites import load_atlas
from tests.models.tiny import TINY, save
from tokviz.shipped_files import ASSETS
from tokviz.time_ratio import with_repeats

NAME, FILE, FRAMES = "film", "examples/film.webp", 8
LANES = ("evs", "vidcom2", "fastv")
SIZE, COUNT, MILLISECONDS = (192, 144), 16, 250
PROMPT = "what moves ?"
REPEATS = 9
"""Rounds in which all lanes of an example are timed in turn; run this on a quiet machine."""
NEW_TOKENS = 8
LETTERS = {*string.ascii_lowercase, "Ġ"}
NOTE = (
    "Random weights: the words of this answer mean nothing. Frames, their times, what is removed "
    "and the numbers are those of a real run of a tiny Qwen2.5-VL."
)


def frames() -> list[Image.Image]:
    """Draw the film."""
    drawn = []
    for number in range(COUNT):
        frame = Image.new("RGB", SIZE, (176, 208, 240))
        frame.paste((112, 160, 96), (0, 100, *SIZE))
        for thing, x, y in (("tree", 130, 40), ("dog", round(number * 120 / (COUNT - 1)), 68)):
            picture = load_atlas()[thing].resize((64, 64))
            frame.paste(picture, (x, y), picture)
        drawn.append(frame)
    return drawn


def speak_letters(vlm: Any) -> None:
    """Leave only letters and the blank in the model's head: its words can be read, if not meant."""
    tokens = vlm.tokenizer.convert_ids_to_tokens(range(len(vlm.tokenizer)))
    letters = [i for i, token in enumerate(tokens) if token in LETTERS]
    head = vlm.model.get_output_embeddings().weight
    with torch.no_grad():
        kept = head[letters].clone()
        head.zero_()
        head[letters] = kept


def store(assets: Path = ASSETS) -> dict[str, Any]:
    """Draw the film, run all lanes on it, write their traces; return the entry of the index."""
    first, *others = frames()
    first.save(
        assets / FILE, save_all=True, append_images=others, duration=MILLISECONDS, quality=80
    )
    film = tokviz.open_film(assets / FILE, FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        vlm = tokviz.load(save(TINY["qwen2_5_vl"], Path(folder)))
        vlm.name, vlm.reason = "Qwen2.5-VL, tiny, random weights", "as given"
        speak_letters(vlm)
        n = vlm.answer(film, PROMPT, max_new_tokens=1).n
        plans = [None, *(tokviz.plan(name, keep=n // 2) for name in LANES)]
        *_, views = vlm.stream(film, PROMPT, plans, NEW_TOKENS, together_after=None)
        times = vlm.time_plans(film, PROMPT, plans, REPEATS, NEW_TOKENS)
    for number, view in enumerate(views):
        end = f"--{number}-{LANES[number - 1]}" if number else ""
        if view.trace is None:
            raise SystemExit(f"{NAME}{end}: {view.error}")
        path = assets / "traces" / f"{NAME}{end}.safetensors"
        with_repeats(view.trace, times[number]).save(path)
        logging.info("%s%s: %r", NAME, end, view.text)
    return {
        "name": NAME, "file": FILE, "frames": FRAMES, "prompt": PROMPT,
        "tag": "a film, random weights", "note": NOTE,
    }  # fmt: skip


def main() -> None:
    """Store the example and put it at the end of the index."""
    path = ASSETS / "traces" / "index.json"
    index = [entry for entry in json.loads(path.read_text("utf-8")) if entry["name"] != NAME]
    text = json.dumps([*index, store()], indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    main()
