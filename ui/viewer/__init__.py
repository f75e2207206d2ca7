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

_HERE = Path(__file__).parent
MODES = ("split", "grid", "blink", "difference", "loupe")
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
) -> dict[str, Any]:
    """Show ``layers`` and return the view the user has chosen.

    Each layer is ``{"id", "title", "subtitle" (optional), "width", "height"}``. ``view`` may hold any of ``mode``,
    ``left``, ``right`` (layer ids), ``split`` (0..1) and ``gain``: it is where a user starts who has no view stored
    for this image, and with ``"force": True`` it is applied whenever it changes. ``storage`` names what the view
    belongs to (workspace and image); without it the key does.

    The result has ``mode``, ``left``, ``right``, ``split``, ``gain``, ``centre`` (x and y as fractions of the image)
    and ``zoom`` (1.0 is 100 %). ``centre`` and ``zoom`` are those of the last change of any of the others.
    """
    layers = [_layer(layer) for layer in layers]
    result = _VIEWER(
        key=key,
        data={
            "layers": layers,
            "height": int(height),
            "view": dict(view or {}),
            "storage": storage or key,
            "base": _base(),
            "script": f"{_base()}/viewer/openseadragon-{_VERSION}.js",
        },
        on_view_change=lambda: None,
    )
    start = {
        "mode": "split",
        "left": layers[0]["id"] if layers else None,
        "right": layers[-1]["id"] if layers else None,
        "split": 0.5,
        "gain": 4,
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
    }


def _base() -> str:
    path = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""
