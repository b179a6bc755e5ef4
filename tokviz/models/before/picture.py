"""What the picture itself says of each visual token, for methods that look at pixels."""

from __future__ import annotations

import numpy as np
import torch

from tokviz.models.prepared import Asked
from tokviz.reduction.vflowopt import entropies


def box_entropies(asked: Asked, tokens: np.ndarray) -> torch.Tensor:
    """Return the entropy [k] in bits of the grey levels in each token's box of its picture.

    For towers whose processor gives patches or several tiles: the original picture stands for
    what was made of it. Padding has no grey level, so a box outside the picture has entropy 0.

    Args:
        asked: the prompt with its pictures.
        tokens: original numbers of the tokens, patches only.
    """
    pictures = [np.asarray(image.convert("RGB"), np.float32) / 255 for image in asked.images]
    found = torch.zeros(len(tokens))
    for place, token in enumerate(tokens):
        picture = pictures[asked.layout.image[token]]
        height, width = picture.shape[:2]
        x0, y0, x1, y1 = np.round(asked.layout.box[token]).astype(int)
        x0, y0 = np.clip([x0, y0], 0, [width, height])
        x1, y1 = np.clip([max(x1, x0 + 1), max(y1, y0 + 1)], 0, [width, height])
        part = picture[y0:y1, x0:x1]
        if part.size:
            found[place] = entropies(torch.as_tensor(part).permute(2, 0, 1), 1, 1)[0]
    return found
