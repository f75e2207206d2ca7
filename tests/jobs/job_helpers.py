"""Waiting for jobs, and finding their processes."""

import time
from pathlib import Path

from denoisers.jobs.local import MARK


def eventually(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


def processes(root):
    """Every process of any job below ``root``."""
    found, mark = [], f"\0{MARK}={root}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in b"\0" + (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # gone
            continue
    return found
