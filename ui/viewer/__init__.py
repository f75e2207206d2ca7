"""The comparison viewer: any number of results of one image in one zoomable view.

Python sends ids, titles and sizes. The browser fetches the pixels itself, as lossless tiles, from ``ui.tiles``.
Pan and zoom stay in the browser (kept in its storage), so looking around never reruns the page. Mode, chosen
results and divider come back to Python when the user lets go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from ..addresses import at

_HERE = Path(__file__).parent
# One module in the browser: the parts are joined in this order, each may use the ones before it.
_PARTS = ("markup.js", "panes.js", "loupe.js", "viewer.js")
_VERSION = json.loads((_HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]["openseadragon"]

_VIEWER = st.components.v2.component(
    "grainwise_comparison_viewer",
    js="\n".join((_HERE / part).read_text(encoding="utf-8") for part in _PARTS),
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
)


def comparison_viewer(
    layers: Sequence[Mapping[str, Any]],
    *,
    key: str,
    height: int = 640,
    view: Mapping[str, Any] | None = None,
    storage: str | None = None,
    follow: bool = False,
) -> dict[str, Any]:
    """Show ``layers`` and return the view the user has chosen.

    Each layer is ``{"id", "title", "subtitle", "width", "height", "frames"}``, of which ``subtitle`` and ``frames`` may
    be left out. All must be of the first one's size; the others are named below the picture and not shown.

    ``view`` may hold any of ``mode``, ``left``, ``right`` (layer ids), ``split`` (0..1), ``gain``, ``signed`` (the
    difference, with grey where the two are equal, not its absolute value) and ``frame``: it is where a user starts who
    has no view stored for this image, and with ``"force": True`` it is applied whenever it changes. When layers are
    added, a user who has chosen no side is turned to ``right``, without it to the last. ``storage`` names what the view
    belongs to (workspace and image); without it the key does.

    The result has all of these and ``centre`` (x and y as fractions of the image) and ``zoom`` (1.0 is 100 %).
    ``centre`` and ``zoom`` are those of the last change of any of the others; with ``follow`` also of the last time the
    picture was moved to another place, which then reruns the page.

    A *live preview* is a layer that comes back with the same title and a new id: zoom, divider and choice stay, and the
    old picture stays on screen until the new one is loaded.

    A *timeline* is a layer with ``frames``, a list of ``{"id", "title"}`` in order, for example the outputs kept during
    an optimisation. Its own id only names it, and should stay the same while frames are added. A scrubber below the
    picture flips through the frames in the browser, which loads them ahead, the nearest first. ``frame`` in the result
    is the index where the user let go, or None at the newest, which is then followed as more come. One scrubber moves
    all layers that have frames.
    """
    layers = [_layer(layer) for layer in layers]
    result = _VIEWER(
        key=key,
        data={
            "layers": layers,
            "height": int(height),
            "view": dict(view or {}),
            "storage": storage or key,
            "follow": follow,
            "base": at(""),
            "script": at(f"/viewer/openseadragon-{_VERSION}.js"),
        },
        on_view_change=lambda: None,
    )
    start = {
        "mode": "split",
        "left": layers[0]["id"] if layers else None,
        "right": layers[-1]["id"] if layers else None,
        "split": 0.5,
        "gain": 4,
        "signed": False,
        "frame": None,
        "centre": [0.5, 0.5],
        "zoom": None,
    }
    return start | {name: value for name, value in (view or {}).items() if name in start} | dict(result.view or {})


def _layer(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(layer["id"]),
        "title": str(layer["title"]),
        "subtitle": str(layer.get("subtitle") or ""),
        "width": int(layer["width"]),
        "height": int(layer["height"]),
        "frames": [{"id": str(frame["id"]), "title": str(frame["title"])} for frame in layer.get("frames", ())],
    }
