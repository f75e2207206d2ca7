"""One way to work on a picture of any size: overlapping tiles, blended so that no seam can be seen."""

import numpy as np

from ..run import Run

BLEND = 32
"""Pixels over which two tiles pass into each other."""


def tile_starts(length: int, tile: int, overlap: int, multiple: int = 1) -> list[int]:
    """Starts of tiles that cover 0..length with at least ``overlap`` shared; all multiples of ``multiple``."""
    if length <= tile:
        return [0]
    step = (tile - overlap) // multiple * multiple
    starts = list(range(0, length - tile, step))
    last = -(-(length - tile) // multiple) * multiple  # the last tile may reach past the edge: it is padded
    return [*starts, last]


def least_tile(length: int, tile: int, overlap: int, multiple: int = 1) -> int:
    """The smallest tile of which no more are needed than of ``tile``: as many, but all of one size."""
    if length <= tile:
        return tile
    step = (tile - overlap) // multiple * multiple
    count = -(-(length - overlap) // step)
    return -(-(length - overlap) // (count * multiple)) * multiple + overlap


def blend_ramps(length: int, starts: list[int], tile: int, flat: int) -> list[np.ndarray]:
    """For each tile the weight of its pixels along one axis; over all tiles they sum to one everywhere.

    The outer ``flat`` pixels of a tile, where its answer suffers from missing surroundings, weigh nothing;
    between there and the neighbour's the weight is a straight ramp.
    """
    ramps, total = [], np.zeros(length, np.float32)
    for start in starts:
        stop = min(start + tile, length)
        x = np.arange(start, stop)
        left = np.ones(stop - start) if start == 0 else (x - start - flat + 1) / (flat + 1)
        right = np.ones(stop - start) if stop == length else (start + tile - flat - x) / (flat + 1)
        ramp = np.clip(np.minimum(left, right), 0, 1).astype(np.float32)
        ramps.append(ramp)
        total[start:stop] += ramp
    return [ramp / total[s : s + len(ramp)] for s, ramp in zip(starts, ramps, strict=True)]


def tiled(image, function, run: Run, *, tile: int = 512, margin: int = 16, multiple: int = 1, even=False) -> np.ndarray:
    """``function`` applied to a picture, tile by tile.

    Args:
        image: H x W x C float32.
        function: maps an h x w x C tile, and a Run for its part of the work, to the same shape.
        tile: side of the tiles, pixels, ``margin`` included.
        margin: how far ``function`` looks around a pixel; neighbouring tiles share twice that and BLEND pixels, so
            that no pixel's answer comes from nearer than ``margin`` to a cut.
        multiple: tiles start on multiples of this (the stride of a network's coarsest grid).
        even: take tiles as small as their number allows, for a function that costs by the pixel.

    Returns the picture, H x W x C float32. ``run`` is asked before each tile.
    """
    height, width, _ = image.shape
    overlap = 2 * margin + BLEND
    if tile <= 2 * overlap:
        tile = 2 * overlap + multiple
    tiles = [least_tile(side, tile, overlap, multiple) if even else tile for side in (height, width)]
    ys, xs = (tile_starts(*cut, overlap, multiple) for cut in zip((height, width), tiles, strict=True))
    ramps_y, ramps_x = blend_ramps(height, ys, tiles[0], margin), blend_ramps(width, xs, tiles[1], margin)
    whole = len(ys) == len(xs) == 1
    out = None if whole else np.zeros_like(image)
    for i, (y, ramp_y) in enumerate(zip(ys, ramps_y, strict=True)):
        for j, (x, ramp_x) in enumerate(zip(xs, ramps_x, strict=True)):
            place, count = i * len(xs) + j, len(ys) * len(xs)
            run.step(place / count)
            part = run.part(place / count, (place + 1) / count)
            done = function(image[y : y + tiles[0], x : x + tiles[1]], part)
            if whole:
                run.step(1.0)
                return np.asarray(done, np.float32)
            out[y : y + tiles[0], x : x + tiles[1]] += done * (ramp_y[:, None] * ramp_x)[..., None]
    run.step(1.0)
    return out
