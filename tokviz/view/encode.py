"""Encodes arrays and pictures for the browser: base64 inside one JSON object.

Arrays are little-endian and row-major. Large maps are quantised to one byte per number with one
scale per row, so that a view stays small; the scale makes the row's maximum exact.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

NOT_A_NUMBER = 255
"""The byte of NaN in a quantised array."""


def pack(array: np.ndarray, dtype: str) -> dict[str, Any]:
    """Return {dtype, shape, data} of an array.

    Args:
        array: any shape; must be representable in `dtype`.
        dtype: f2, f4, u1, i2 or i4.
    """
    data = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return {"dtype": dtype, "shape": list(array.shape), "data": text}


def pack_bytes(array: np.ndarray) -> dict[str, Any]:
    """Return an array [..., n] of numbers >= 0 as bytes with one scale per row.

    Returns:
        {dtype: "u1", shape, data, scale}; a value is byte / 254 * scale[row], 255 = NaN.
    """
    rows = np.asarray(array, np.float32).reshape(-1, array.shape[-1])
    finite = np.where(np.isfinite(rows), np.maximum(rows, 0), 0)
    scale = finite.max(1, initial=0)
    steps = np.round(finite / np.where(scale > 0, scale, 1)[:, None] * 254).astype(np.uint8)
    steps[~np.isfinite(rows)] = NOT_A_NUMBER
    return pack(steps.reshape(array.shape), "u1") | {"scale": pack(scale, "f4")}


def pack_map(array: np.ndarray, room: int) -> dict[str, Any] | None:
    """Return a map of numbers >= 0 in the best form that fits into `room` bytes, or None.

    Args:
        array: [..., n].
        room: bytes; half precision if it fits, else one byte a number.
    """
    if array.size * 2 <= room:
        return pack(array, "f2")
    return pack_bytes(array) if array.size <= room else None


def data_url(jpeg_bytes: bytes) -> str:
    """Return JPEG bytes as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode("ascii")
