"""One visitor's workspace: its id lives in the URL, its state on disk, so a reload or a shared link brings all back."""

import threading
import weakref

import streamlit as st

from . import services

PAGES = {"lab", "studio", "training"}
"""Keys under which a page keeps a dictionary of its own."""


class Workspace:
    """Dictionary-like state that is saved whenever it changes.

    Keys: ``picture`` and ``reference`` (item ids or None); ``chosen`` (method name -> ``weights`` and ``params``,
    in library units; None before the first choice); ``runs`` (item id -> ``title``, ``name``, ``weights``,
    ``params`` and ``device``, all that was asked for, in order, whether or not its result is there yet); ``latest``
    (the items of ``runs`` that were asked for together, last of all); ``files`` (method name -> paths of the visitor's
    own weight files for it); ``lab``, ``studio`` and ``training`` (what the INR Lab, the Noise studio and the Train
    page keep, see there).
    """

    EMPTY = {
        "picture": None,
        "reference": None,
        "chosen": None,
        "runs": {},
        "latest": [],
        "files": {},
        "lab": {},
        "studio": {},
        "training": {},
    }

    def __init__(self, name: str):
        self.name = name
        self.state = self.EMPTY | services.store().workspace(name)

    def __getitem__(self, key):
        return self.state[key]

    def update(self, **changes):
        """Save what has changed, and only that: another tab may have changed the rest meanwhile, also within what one
        page keeps."""
        with _lock:
            kept = self.EMPTY | services.store().workspace(self.name)
            for key in PAGES & changes.keys():
                changes[key] = merged(self.state[key], changes[key], kept[key])
            self.state |= changes
            if any(kept[k] != v for k, v in changes.items()):
                services.store().save_workspace(self.name, kept | changes)

    def with_file(self, method: str, path: str) -> dict:
        """``files`` with one more weight file of the visitor's for a method."""
        return self["files"] | {method: list(dict.fromkeys([*self["files"].get(method, []), path]))}


def merged(before: dict, after: dict, kept: dict) -> dict:
    """``kept`` with what differs between before and after."""
    changed = {k: v for k, v in after.items() if k not in before or before[k] != v}
    return {k: v for k, v in kept.items() if k in after or k not in before} | changed


_open: weakref.WeakSet[Workspace] = weakref.WeakSet()
_lock = threading.Lock()


def current() -> Workspace:
    """The workspace named in the URL; else, for the navigation's links name none, the one that this session has open on
    another page; else a new one. The URL names it then."""
    store = services.store()
    name = st.query_params.get("w", "")
    try:
        space = Workspace(name)
    except KeyError:
        known = st.session_state.get("workspace")
        name = known.name if known else store.new_workspace()
        st.query_params["w"] = name
        space = Workspace(name)
    with _lock:
        _open.add(space)
    st.session_state["workspace"] = space  # lives as long as the visitor's session
    return space


def wanted_elsewhere(item: str, space: Workspace) -> bool:
    """Whether another open workspace has asked for a result too."""
    with _lock:
        return any(item in other["runs"] for other in _open if other.name != space.name)


def in_use() -> set[str]:
    """Names of the workspaces that are open in some browser."""
    with _lock:
        return {space.name for space in _open}
