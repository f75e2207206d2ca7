"""What a recipe will find in its folders, looked over before anything is decoded: by names and headers alone."""

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..errors import DataError
from . import folders
from .folders import Problem
from .recipe import Recipe

FINDERS = {
    "pairs": folders.pairs,
    "noisy_pairs": folders.noisy_pairs,
    "noisy": folders.noisy_pictures,
    "clean": folders.clean_pictures,
}
"""What finds the pictures of each entry of a recipe's [data]."""


@dataclass(frozen=True)
class Survey:
    """Examples that can be trained with, how many of them are held back to validate, the ``scenes`` they show, their
    ``layouts`` (naming schemes) and the pixels of all their files; ``problems`` names every other file, and why."""

    examples: int
    held_back: int
    scenes: int
    layouts: Counter
    pixels: int
    problems: list[Problem]


def survey(recipe: Recipe, data) -> Survey:
    """Look over the folders of a recipe below ``data``.

    Raises DataError that names the first few problems: a folder is missing or holds nothing of the kind, or no picture
    is whole and as large as a crop.
    """
    good, held_back, problems, layouts, sizes = [], set(), [], Counter(), {}
    for entry, find in FINDERS.items():
        folders_of = [find(Path(data) / name) for name in getattr(recipe.data, entry)]
        for found in folders_of:
            problems += found.problems
            layouts += found.layouts
            for example in found:
                problem = flaw(example, max(recipe.data.crop), sizes)
                problems.append(problem) if problem else good.append(example)
        # As `sources.open_data` splits them.
        for group in [chain(*folders_of)] if entry == "clean" else folders_of:
            held_back.update(folders.split(group, seed=recipe.seed)[1])
    problems = list(dict.fromkeys(problems))
    if not good:
        listed = folders.first(problems)
        raise DataError(f"None of the pictures can be used; give some that can.{listed}")
    files = {path for example in good for path in (example.noisy, example.target) if path}
    pixels = sum(sizes[path][0] * sizes[path][1] for path in files)
    scenes = {example.scene for example in good}
    return Survey(len(good), len(held_back.intersection(good)), len(scenes), layouts, pixels, problems)


def flaw(example, crop: int, sizes: dict) -> Problem | None:
    """What is wrong with an example; ``sizes`` keeps (width, height) of every file looked at."""
    paths = [path for path in (example.noisy, example.target) if path]
    for path in paths:
        if path not in sizes:
            try:
                sizes[path] = folders.size_of(path)
            except Exception:  # decoders raise nearly everything on damaged headers
                sizes[path] = None
        if sizes[path] is None:
            return Problem(path, "damaged, or no picture")
    width, height = sizes[paths[0]]
    # An orientation in the EXIF data may swap the two: then they are only known once the picture is decoded.
    if sorted(sizes[paths[0]]) != sorted(sizes[paths[-1]]):
        other = "{} x {}".format(*sizes[paths[-1]])
        return Problem(paths[0], f"{width} x {height}, but its partner '{paths[-1].name}' is {other}")
    if min(width, height) < crop:
        return Problem(paths[0], f"{width} x {height}, smaller than the {crop} x {crop} of a crop")
    return None
