"""What long work leaves behind: events as it goes on, whole files, and a good end when it is asked to stop."""

import json
import os
import signal
import threading
import time
from pathlib import Path


class Events:
    """A file of events: one JSON object a line, with ``event``, what happened, and ``time``. None keeps none."""

    def __init__(self, path: Path | None):
        self.file = path.open("a", buffering=1) if path else None

    def write(self, event: str, **facts):
        if self.file:
            self.file.write(json.dumps({"event": event, "time": round(time.time(), 1), **facts}) + "\n")


def write_atomically(path: Path, save):
    """``save(part)`` writes a neighbour file, which then takes the place of ``path`` in one step."""
    part = path.with_name(path.name + ".part")
    save(part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


class stopped_by_signals:
    """SIGTERM and Ctrl-C set ``stop`` for the length of a with block; the handlers from before come back."""

    def __init__(self, stop: threading.Event):
        self.stop, self.before = stop, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in (signal.SIGTERM, signal.SIGINT):
                self.before[name] = signal.signal(name, lambda *_: self.stop.set())

    def __exit__(self, *_):
        for name, handler in self.before.items():
            signal.signal(name, handler)
