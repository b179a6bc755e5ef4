"""Write the decisions of two stand-ins, by the recipes of docs/trained.md, and their traces.

    python -m scripts.export_trained

No trained weights are used: both score a token by the contrast of its part of the picture. They
show what a file of a removal by layers and of a learned pooling looks like in the page.
"""

import json
from pathlib import Path

import numpy as np

from tokviz.images import open_image
from tokviz.trace.decisions import read_decisions

ASSETS = Path(__file__).parents[1] / "assets"
PICTURE, FOLDER = ASSETS / "examples" / "scene_1.png", ASSETS / "imports"
PROMPT, SIDE, PART = "what is this ?", 24, 8
"""What is asked, tokens along a side, pixels along a token."""
LAYERS = {2: 288, 5: 144, 9: 48}
"""Layer -> tokens that stay before it."""


def contrast():
    """Return the standard deviation of the grey levels in each of SIDE x SIDE parts, [n]."""
    grey = np.asarray(
        open_image(PICTURE).convert("L").resize((SIDE * PART, SIDE * PART)), np.float64
    )
    parts = grey.reshape(SIDE, PART, SIDE, PART).transpose(0, 2, 1, 3).reshape(SIDE * SIDE, -1)
    return parts.std(1).round(3)


def by_layers(score):
    """Return decisions that remove the tokens with the lowest scores, layer by layer."""
    order = np.argsort(-score, kind="stable")
    stages = [
        {"layer": layer, "kept": sorted(order[:keep].tolist())} for layer, keep in LAYERS.items()
    ]
    return {"method": "Removal by layers (stand-in)", "n": len(score), "stages": stages}


def pooled(score):
    """Return decisions that average every 2 x 2 tokens, weighted by their scores."""
    entries, places = [], []
    for row in range(0, SIDE, 2):
        for col in range(0, SIDE, 2):
            region = [r * SIDE + c for r in (row, row + 1) for c in (col, col + 1)]
            weights = score[region] + 1
            shares = (weights / weights.sum()).round(4)
            entries += [(len(places), t, float(w)) for t, w in zip(region, shares, strict=True)]
            places.append(region[int(shares.argmax())])
    rows, cols, weights = (list(part) for part in zip(*entries, strict=True))
    made = {"rows": rows, "cols": cols, "weights": weights, "position": places}
    return {"method": "Learned pooling (stand-in)", "n": len(score), **made}


def main():
    FOLDER.mkdir(exist_ok=True)
    score = contrast()
    for name, decisions in (("by_layers", by_layers(score)), ("pooled", pooled(score))):
        text = json.dumps(decisions | {"grid": [SIDE, SIDE], "prompt": PROMPT})
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        trace = read_decisions(text.encode()).trace(PICTURE)
        trace.save(FOLDER / f"{name}.safetensors")
    print(f"wrote {', '.join(sorted(path.name for path in FOLDER.iterdir()))}")


if __name__ == "__main__":
    main()
