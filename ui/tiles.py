"""Lossless image tiles over HTTP, for the comparison viewer.

Pixels reach the browser only through these routes. ``st.image`` would recompress a photo as JPEG and shrink it,
which removes most of the noise a denoising app exists to show. Here level ``max_level`` holds the array's own
pixels, and every lower level is the 2x2 area average of the level above.

The module knows nothing about Streamlit. The caller gives ``get_layer(layer_id)``, which returns a uint8 array
(H x W or H x W x 3) or raises KeyError. A layer's id must name its content for good (a hash), because browsers are
told to keep tiles for a year.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TILE = 512
BAND = 256  # rows halved at a time, to need little memory
GAINS = (1, 2, 4, 8, 16, 32)
MAX_PIXEL_IDS = 24
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}

_PLAIN_ID = re.compile(r"[0-9a-f]{8,64}")
_DIFF_ID = re.compile(r"(diff|signed)\.([0-9a-f]{8,64})\.([0-9a-f]{8,64})\.([0-9]{1,2})")
_SCRIPT = Path(__file__).parent / "viewer/node_modules/openseadragon/build/openseadragon/openseadragon.min.js"

GetLayer = Callable[[str], np.ndarray]


class ByteLru:
    """A thread-safe cache that forgets what was used longest ago once it holds more than ``limit`` bytes;
    the last one put in stays, whatever its size."""

    def __init__(self, limit: int, size: Callable[[object], int]):
        self._limit, self._size = limit, size
        self._items: OrderedDict[object, object] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, key):
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key, value) -> None:
        with self._lock:
            if key in self._items:
                self._held -= self._size(self._items.pop(key))
            self._items[key] = value
            self._held += self._size(value)
            while self._held > self._limit and len(self._items) > 1:
                _, old = self._items.popitem(last=False)
                self._held -= self._size(old)


def max_level(height: int, width: int, tile: int = TILE) -> int:
    """The number of halvings after which the image fits into one tile (viewer.js counts the same way)."""
    level, side = 0, max(height, width)
    while side > tile:
        side, level = (side + 1) // 2, level + 1
    return level


def halve(array: np.ndarray) -> np.ndarray:
    """Average 2x2 blocks, half up. An odd last row or column is averaged with itself, so sizes round up."""
    height, width = array.shape[:2]
    out = np.empty(((height + 1) // 2, (width + 1) // 2, *array.shape[2:]), np.uint8)
    for row in range(0, height, BAND):
        band = _image(array[row : row + BAND]).reduce(2)
        out[row // 2 : (row + BAND) // 2] = np.asarray(band).reshape(-1, *out.shape[1:])
    return out


def _image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[2:] == (1,) else array))


def _cut(array: np.ndarray, x: int, y: int, tile: int = TILE) -> np.ndarray:
    part = array[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile] if x >= 0 and y >= 0 else array[:0]
    if part.size == 0:
        raise KeyError(f"no tile {x}_{y}")
    return part


def _encode(part: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    # Level 1 is several times faster than the default, and noise hardly compresses at any level.
    _image(part).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class TileServer:
    """Tiles of plain and derived layers, with the reduced levels and the encoded tiles cached."""

    def __init__(self, get_layer: GetLayer, level_bytes: int = 192 << 20, tile_bytes: int = 64 << 20):
        self._get_layer = get_layer
        self._levels = ByteLru(level_bytes, lambda array: array.nbytes)
        self._tiles = ByteLru(tile_bytes, len)
        # A page asks for many tiles of one level at once: without this lock each request would build that level.
        self._building = threading.Lock()

    def layer(self, layer_id: str) -> np.ndarray:
        if not _PLAIN_ID.fullmatch(layer_id):
            raise KeyError(layer_id)
        array = self._get_layer(layer_id)
        if array.dtype != np.uint8 or array.ndim not in (2, 3):
            raise TypeError(f"layer {layer_id} must be a uint8 image, not {array.dtype} {array.shape}")
        return array

    def _level(self, layer_id: str, level: int) -> np.ndarray:
        array = self.layer(layer_id)
        top = max_level(*array.shape[:2])
        if not 0 <= level <= top:
            raise KeyError(f"no level {level}")
        if level == top:
            return array
        with self._building:
            return self._build(layer_id, array, level, top)

    def _build(self, layer_id: str, array: np.ndarray, level: int, top: int) -> np.ndarray:
        """Each level is made from the one above it, which is then in the cache for the next zoom step."""
        if level == top:
            return array
        held = self._levels.get((layer_id, level))
        if held is None:
            held = halve(self._build(layer_id, array, level + 1, top))
            self._levels.put((layer_id, level), held)
        return held

    def tile(self, layer_id: str, level: int, x: int, y: int) -> bytes:
        key = (layer_id, level, x, y)
        png = self._tiles.get(key)
        if png is None:
            png = _encode(self._part(layer_id, level, x, y))
            self._tiles.put(key, png)
        return png

    def _part(self, layer_id: str, level: int, x: int, y: int) -> np.ndarray:
        match = _DIFF_ID.fullmatch(layer_id)
        if match is None:
            return _cut(self._level(layer_id, level), x, y)
        kind, first, second, gain = match[1], match[2], match[3], int(match[4])
        if gain not in GAINS:
            raise KeyError(layer_id)
        parts = (_cut(self._level(name, level), x, y) for name in (first, second))
        return difference(*parts, gain, signed=kind == "signed")

    def pixel(self, layer_id: str, x: int, y: int) -> list[int] | None:
        """The 8-bit values at a pixel, or None where the layer or the pixel does not exist."""
        try:
            array = self.layer(layer_id)
        except KeyError:
            return None
        if not (0 <= y < array.shape[0] and 0 <= x < array.shape[1]):
            return None
        return [int(value) for value in np.atleast_1d(array[y, x])]


def difference(first: np.ndarray, second: np.ndarray, gain: int, signed: bool = False) -> np.ndarray:
    """|first - second| * gain, or signed 128 + (first - second) * gain, clipped to 0..255.

    A grey image is compared with each channel of a colour one.
    """
    if first.ndim != second.ndim:
        first, second = (part[..., None] if part.ndim == 2 else part for part in (first, second))
    if first.shape[:2] != second.shape[:2]:
        raise KeyError("layers of different sizes have no difference")
    change = (first.astype(np.int32) - second) * gain
    return np.clip(128 + change if signed else np.abs(change), 0, 255).astype(np.uint8)


def routes(get_layer: GetLayer) -> list[Route]:
    """The tile, pixel and viewer-script routes, for ``st.App(routes=...)`` or any Starlette app."""
    server = TileServer(get_layer)
    # Its own small pool: tile encoding must not take every thread that the rest of the app works with.
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="tiles")

    async def tile(request: Request) -> Response:
        where = request.path_params
        try:
            png = await asyncio.get_running_loop().run_in_executor(
                pool, server.tile, where["layer"], where["level"], where["x"], where["y"]
            )
        except KeyError:
            return Response("no such tile", status_code=404, media_type="text/plain")
        return Response(png, media_type="image/png", headers=FOREVER)

    def _pixels(ids: list[str], x: int, y: int) -> dict:
        return {layer_id: server.pixel(layer_id, x, y) for layer_id in ids}

    async def pixel(request: Request) -> Response:
        x, y = request.path_params["x"], request.path_params["y"]
        ids = [part for part in request.query_params.get("ids", "").split(",") if part][:MAX_PIXEL_IDS]
        values = await asyncio.get_running_loop().run_in_executor(pool, _pixels, ids, x, y)
        if all(value is None for value in values.values()):
            return JSONResponse({"error": "no such pixel"}, status_code=404)
        return JSONResponse({"x": x, "y": y, "values": values})

    async def script(request: Request) -> Response:
        if not _SCRIPT.is_file():
            return Response("run `npm ci` in ui/viewer", status_code=404, media_type="text/plain")
        # The file looks for a module system or a global `this`. Give it its own, and nothing leaks into the page.
        source = "const module = {exports: {}}, exports = module.exports, define = undefined;\n"
        source += _SCRIPT.read_text(encoding="utf-8") + "\nexport default module.exports;\n"
        return Response(source, media_type="text/javascript", headers=FOREVER)

    return [
        Route("/tiles/{layer}/{level:int}/{x:int}_{y:int}.png", tile),
        Route("/pixel/{x:int}_{y:int}", pixel),
        # The version is part of the address, so that an upgrade is never answered from a browser's cache.
        Route("/viewer/openseadragon-{version}.js", script),
    ]
