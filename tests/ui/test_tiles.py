"""Tiles are the pixels; coarser levels are their averages."""

import io

import numpy as np
import pytest
from PIL import Image

from ui import tiles


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (6, 9), (7, 1, 1), (1, 8, 3), (600, 515, 3)])
def test_halving_is_the_mean_of_four(shape):
    array = pixels(*shape)
    odd = [(0, side % 2) for side in shape[:2]] + [(0, 0)] * (len(shape) - 2)
    full = np.pad(array, odd, mode="edge").astype(int)
    total = full[0::2, 0::2] + full[1::2, 0::2] + full[0::2, 1::2] + full[1::2, 1::2]
    np.testing.assert_array_equal(tiles.halve(array), (total + 2) // 4)


@pytest.mark.parametrize("shape", [(700, 1100, 3), (700, 1100, 1)])
def test_tiles_of_the_finest_level_are_the_pixels(shape):
    array = pixels(*shape)
    server, top = tiles.TileServer(lambda _: array), tiles.max_level(*shape[:2])
    for y in range(2):
        for x in range(3):
            tile = np.asarray(Image.open(io.BytesIO(server.tile("0" * 32, top, x, y))))
            part = array[512 * y : 512 * y + 512, 512 * x : 512 * x + 512]
            np.testing.assert_array_equal(tile.reshape(part.shape), part)
    with pytest.raises(KeyError):
        server.tile("0" * 32, top, 3, 0)


def test_a_cache_keeps_the_last_item_whatever_its_size_and_then_the_newest():
    cache = tiles.ByteLru(100, len)
    for key, size in (("a", 40), ("b", 40), ("large", 120)):
        cache.put(key, bytes(size))
    assert [cache.get(key) is not None for key in ("a", "b", "large")] == [False, False, True]
    cache.put("c", bytes(10))
    assert cache.get("large") is None and cache.get("c") is not None
