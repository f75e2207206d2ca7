"""DATA, as several benchmarks take it: a folder with manifest.csv, a line a picture.

Columns: ``set``, a name ("polyu", "cbsd68"); ``clean``, a file below DATA; ``noisy``, the file of the noisy shot, empty
where noise is to be made. Others are left alone.
"""

import csv
from pathlib import Path

import denoisers
from denoisers.benchmark import centre


def clean_rows(folder: Path) -> list[dict]:
    """The lines that name a clean picture."""
    with open(folder / "manifest.csv", newline="") as manifest:
        return [row for row in csv.DictReader(manifest) if row["clean"]]


def pair_rows(folder: Path) -> list[dict]:
    """Those that name a noisy shot too."""
    return [row for row in clean_rows(folder) if row["noisy"]]


def read(file: Path, side: int | None = None):
    """Pixels of a picture, or of its centre."""
    return centre(denoisers.images.read(file).pixels, side)
