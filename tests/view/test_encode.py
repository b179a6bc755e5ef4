import base64

import numpy as np
import pytest

from tokviz.view.encode import pack, pack_bytes, pack_map


def unpack(field):
    """What assets/js/base/arrays.js does."""
    data = np.frombuffer(
        base64.b64decode(field["data"]), np.dtype(field["dtype"]).newbyteorder("<")
    )
    values = data.reshape(field["shape"])
    if "scale" not in field:
        return values
    scale = unpack(field["scale"]).reshape(*field["shape"][:-1], 1)
    return np.where(values == 255, np.nan, values / 254 * scale)


@pytest.mark.parametrize("dtype", ["f2", "f4", "u1", "i2", "i4"])
def test_an_array_arrives_as_it_was_sent(dtype):
    array = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(unpack(pack(array, dtype)), array)


def test_bytes_keep_each_rows_maximum_and_stay_within_half_a_step():
    rows = np.array([[0.0, 0.5, 1.0], [0.001, 0.002, 0.004], [0.0, 0.0, 0.0]], np.float32)
    rows = np.concatenate([rows, np.random.default_rng(0).random((9, 3), np.float32)])
    back = unpack(pack_bytes(rows))
    np.testing.assert_allclose(back.max(1), rows.max(1), rtol=1e-6)
    assert (np.abs(back - rows) <= rows.max(1, keepdims=True) / 508 + 1e-9).all()


def test_what_is_no_number_stays_no_number():
    back = unpack(pack_bytes(np.array([[np.nan, 1.0, np.inf, -1.0]], np.float32)))
    np.testing.assert_array_equal(np.isnan(back[0]), [True, False, True, False])
    assert back[0, 3] == 0


def test_a_map_is_sent_in_the_best_form_that_fits():
    array = np.ones((4, 100), np.float16)
    assert pack_map(array, 800)["dtype"] == "f2"
    assert pack_map(array, 799)["dtype"] == "u1"
    assert pack_map(array, 399) is None
