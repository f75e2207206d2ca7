"""What the app keeps on disk: pictures and results under their hashes, workspaces under unguessable ids.

An *item* is a folder ``items/<id>/``: ``info.json``; ``blob``, the uploaded bytes, or ``pixels.npy``, float32;
and ``display.npy``, the uint8 pixels that the viewer shows, memory-mapped. A weight file of a visitor's is an item
too: ``info.json`` and the file under its own name. A fit is an item that grows: ``frame-<number>.npy``, more uint8
pictures, each shown under the item's id and its number in 8 hex digits. An item is written beside its place and
renamed, so it is there whole or not at all. A *workspace* is one JSON file: the picture, the reference, the
choices and the results of one visitor, by item id.
"""

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from denoisers import images, own_weights

ID = re.compile(r"[0-9a-f]{32}")
FRAME = re.compile(r"[0-9a-f]{8}")
WORKSPACE = re.compile(r"[A-Za-z0-9_-]{22}")


def digest(*parts) -> str:
    """32 hex digits that stand for bytes or JSON-able values."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode())
    return sha.hexdigest()[:32]


def frame_id(item: str, number: int) -> str:
    """The id of a frame of an item."""
    return f"{item}{number:08x}"


class Store:
    """Args: root folder; workspaces older than ``days`` or items above ``gigabytes`` in all are removed."""

    def __init__(self, root, days: float = 14, gigabytes: float = 20):
        self.root, self.days, self.bytes = Path(root), days, gigabytes * 1e9
        self.lock = threading.RLock()
        for name in ("items", "workspaces", "parts"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    # items

    def folder(self, item: str) -> Path:
        if not ID.fullmatch(item):
            raise KeyError(item)
        return self.root / "items" / item

    def __contains__(self, item: str) -> bool:
        try:  # a kill or a power cut may leave a folder without its facts
            return (self.folder(item) / "info.json").stat().st_size > 0
        except FileNotFoundError:
            return False

    def hold(self, item: str) -> bool:
        """Whether an item is there. If so no sweep takes it within the hour, time enough to refer to it."""
        try:
            os.utime(self.folder(item))
        except FileNotFoundError:
            return False
        return item in self

    def info(self, item: str) -> dict:
        try:
            return json.loads((self.folder(item) / "info.json").read_text())
        except (FileNotFoundError, ValueError):  # a power cut may leave half of it
            raise KeyError(item) from None

    def lineage(self, item: str | None):
        """An item, the picture it was made from, and so on up to the upload."""
        while item and item in self:
            try:
                info = self.info(item)
            except KeyError:
                return
            yield item
            item = info.get("picture") or info.get("clean")

    def put(self, item: str, info: dict, display, blob: bytes | None = None, pixels=None):
        """Keep a picture; if it is there already, nothing is written."""

        def write(part):
            if blob is not None:
                (part / "blob").write_bytes(blob)
            if pixels is not None:
                np.save(part / "pixels.npy", np.ascontiguousarray(pixels, np.float32))
            np.save(part / "display.npy", display)
            (part / "info.json").write_text(json.dumps(info))

        self.keep(item, write)

    def put_file(self, item: str, name: str, data: bytes):
        """Keep one more file with an item, or another in its place."""
        fresh = self.root / "parts" / f"{item}.{secrets.token_hex(4)}"
        fresh.write_bytes(data)
        os.replace(fresh, self.folder(item) / name)

    def put_frame(self, item: str, number: int, display) -> str:
        """Keep one more picture of an item; returns the id that ``display`` takes."""
        npy = io.BytesIO()
        np.save(npy, display)
        self.put_file(item, f"frame-{number:08x}.npy", npy.getvalue())
        return frame_id(item, number)

    def put_weights(self, data: bytes, name: str, method: str | None = None) -> str:
        """Keep a visitor's weight file, for a method or the one it belongs to; returns its path, which
        ``denoisers.load`` takes. Raises WeightsError."""
        name = images.safe_name(name)
        item = digest(data, name, method)

        def write(part):
            (part / name).write_bytes(data)
            found, _ = own_weights.read(part / name, method)
            (part / "info.json").write_text(json.dumps({"name": name, "method": found}))

        self.keep(item, write)
        return str(self.folder(item) / name)

    def keep(self, item: str, write):
        """Let ``write(part)`` fill a folder, which then becomes the item; nothing is done if it is there already."""
        if self.hold(item):
            return
        part = Path(tempfile.mkdtemp(dir=self.root / "parts"))
        try:
            write(part)
            if item not in self and self.folder(item).exists():
                shutil.rmtree(self.folder(item))
            part.rename(self.folder(item))
        except Exception as error:
            shutil.rmtree(part, ignore_errors=True)
            if not isinstance(error, OSError) or item not in self:  # another process may have kept it meanwhile
                raise

    def put_upload(self, data: bytes, name: str) -> str:
        """Read an uploaded file and keep it; ImageError if it is no picture we can use."""
        item = digest(data, name)  # the same picture under another name is another visitor's, with a name of theirs
        if not self.hold(item):
            picture = images.read(data, name=name)
            info = describe(picture.samples, name) | {
                "sha256": hashlib.sha256(data).hexdigest(),
                "format": picture.format,
                "bits": picture.bits,
                "alpha": picture.alpha is not None,
                "notes": picture.notes,
            }
            self.put(item, info, images.as_uint8(picture.samples), blob=data)
        return item

    def update(self, item: str, **facts):
        with self.lock:
            path = self.folder(item) / "info.json"
            fresh = path.with_suffix(f".{secrets.token_hex(4)}")
            fresh.write_text(json.dumps(self.info(item) | facts))
            os.replace(fresh, path)

    def picture(self, item: str):
        """The uploaded Picture, or None for an item that was computed."""
        blob = self.folder(item) / "blob"
        return images.read(blob.read_bytes(), name=self.info(item)["name"]) if blob.exists() else None

    def pixels(self, item: str) -> np.ndarray:
        """H x W x C float32."""
        path = self.folder(item) / "pixels.npy"
        if path.exists():
            return np.load(path, mmap_mode="r")
        # Eight-bit samples are what is shown: no need to decode the upload again.
        return images.to_float(self.display(item)) if self.info(item)["bits"] == 8 else self.picture(item).pixels

    def display(self, item: str) -> np.ndarray:
        """H x W x C uint8, memory-mapped, of an item or a frame; KeyError if there is no such one."""
        item, frame = (item[:32], item[32:]) if FRAME.fullmatch(item[32:]) else (item, None)
        try:
            return np.load(self.folder(item) / (f"frame-{frame}.npy" if frame else "display.npy"), mmap_mode="r")
        except FileNotFoundError:
            raise KeyError(item) from None

    # workspaces

    def new_workspace(self) -> str:
        return secrets.token_urlsafe(16)

    def workspace(self, name: str) -> dict:
        """A workspace's state; empty for one that is new. KeyError for a name that cannot be one."""
        if not WORKSPACE.fullmatch(name):
            raise KeyError(name)
        path = self.root / "workspaces" / f"{name}.json"
        try:
            path.touch(exist_ok=False) if not path.exists() else os.utime(path)
            return json.loads(path.read_text() or "{}")
        except (FileExistsError, ValueError):
            return {}

    def save_workspace(self, name: str, state: dict):
        if not WORKSPACE.fullmatch(name):
            raise KeyError(name)
        path = self.root / "workspaces" / f"{name}.json"
        fresh = self.root / "parts" / f"{name}.{secrets.token_hex(4)}"
        fresh.write_text(json.dumps(state))
        os.replace(fresh, path)

    def sweep(self, in_use=()):
        """Remove old workspaces, then items nobody refers to, then the oldest workspaces while over the limit.

        Workspaces named in ``in_use``, and those touched within the last hour, always stay.
        """
        with self.lock:
            now = time.time()
            files = sorted((self.root / "workspaces").glob("*.json"), key=lambda p: p.stat().st_mtime)
            kept = []
            for path in files:
                age = now - path.stat().st_mtime
                if age > self.days * 86400 and path.stem not in in_use:
                    path.unlink()
                else:
                    kept.append(path)
            while True:
                named = {i for path in kept for i in ID.findall(path.read_text())}
                wanted = {i for item in named for i in self.lineage(item)}
                wanted |= {i for item in wanted for i in self.lineage(self.info(item).get("reference"))}
                wanted |= {i for item in wanted for i in self.lineage(self.info(item).get("crop", {}).get("of"))}
                size = 0
                for folder in (self.root / "items").iterdir():
                    fresh = now - folder.stat().st_mtime < 3600
                    if folder.name not in wanted and not fresh:
                        shutil.rmtree(folder, ignore_errors=True)
                    else:
                        size += sum(f.stat().st_size for f in folder.iterdir())
                old = [p for p in kept if p.stem not in in_use and now - p.stat().st_mtime > 3600]
                if size <= self.bytes or not old:
                    break
                kept.remove(old[0])
                old[0].unlink()
            for part in (self.root / "parts").iterdir():  # left by a server that was killed
                if now - part.stat().st_mtime > 3600:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()


def describe(pixels, name: str) -> dict:
    height, width, channels = pixels.shape
    return {"name": name, "width": width, "height": height, "channels": channels}
