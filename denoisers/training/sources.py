"""From a recipe and a folder to sources of crops, and the scenes held back to validate with."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..images import distinct_channels
from ..noise import estimate_sigma
from ..noise.camera import random_camera
from ..noise.models import MODELS, SHARES, gaussian, keep_mask
from . import folders
from .data import Made, Photographed, as_colour, deviation, to_float
from .recipe import Recipe

FOLLOW_BRIGHTNESS = ("poisson", "poisson_gaussian", "speckle")
"""Noise models whose deviation on a crop is not that on its picture."""


def library_level(model: str, level: float) -> float:
    """A recipe's level in the library's unit: it stands there of 255, unless it is a share."""
    return level if model in SHARES else level / 255


def noise_maker(noise, level: float | None = None):
    """``(clean, rng, whole=None) -> (noisy, sigma, mask)`` after a recipe's [noise]; at one level, or uniform in its
    range. "camera" is another camera every time, its level log-uniform in the range.

    sigma is what a network is told, and in use that is one number for a whole picture: so it is measured on
    ``whole``, a small version of the picture that ``clean`` was cropped from, where one is given.
    """
    low, high = (noise.low, noise.high) if level is None else (level, level)
    low, high = (library_level(noise.model, v) for v in (low, high))

    def make(clean, rng, whole=None):
        if noise.model == "gaussian":
            sigma = rng.uniform(low, high)
            return gaussian(clean, sigma, rng), sigma, None
        if noise.model == "camera":
            camera = random_camera(rng, (low, high))
            noisy = camera.apply(clean, rng)
            return noisy, spread(camera, whole, rng) if whole is not None else float((noisy - clean).std()), None
        at, mask = rng.uniform(low, high), None
        if noise.model == "bernoulli":
            mask = keep_mask(clean.shape, at, rng).astype(np.float32)
            noisy = clean * mask
        else:
            noisy = MODELS[noise.model](clean, at, rng)
        if whole is not None and noise.model in FOLLOW_BRIGHTNESS:
            return noisy, float((MODELS[noise.model](whole, at, rng) - whole).std()), mask
        return noisy, float((noisy - clean).std()), mask

    return make


def spread(camera, whole, rng) -> float:
    """Standard deviation of a camera's noise over a small picture, before JPEG, which there would do more harm."""
    return float((replace(camera, jpeg=None).apply(whole, rng) - whole).std())


def open_data(recipe: Recipe, data, cache=None):
    """Read what a recipe names below ``data``; ``cache`` is a folder for pixels that the memory cannot hold.

    Returns ([(source, share), ...], held back: [(noisy, clean, sigma), ...], problems): held back are whole pictures
    of scenes that are in no source, H x W x 3 float32, clean None where there is none; problems name the files left
    out. Each folder of photographed noise has the same share, however large it is. Raises DataError: nothing
    there, too few, all too small.
    """
    data, d, problems = Path(data), recipe.data, []

    def decode(examples, least=1):
        pictures = folders.read(examples, smallest=max(d.crop), least=least, cache=cache)
        problems.extend(pictures.problems)
        return pictures

    def find(finder, name):
        found = finder(data / name, least=1)
        problems.extend(found.problems)
        return found

    kinds = ((folders.pairs, d.pairs), (folders.noisy_pairs, d.noisy_pairs), (folders.noisy_pictures, d.noisy))
    photographed, held_back = [], []
    for finder, names in kinds:
        for name in names:
            train, validation = folders.split(find(finder, name), seed=recipe.seed)
            known = finder is folders.pairs  # the targets are clean
            pictures = given(decode(train), known, recipe)
            # In use the level is an estimate, so here it is the same one, right or wrong.
            sigmas = [estimate_sigma(noisy) for noisy, _, _ in pictures]
            photographed.append(Photographed(pictures, sigmas, d.standardise))
            held_back += given_pairs(decode(validation, least=0), known)
    share = 1 - d.made_share if d.clean else 1.0
    sources = [(source, share / len(photographed)) for source in photographed]
    if d.clean:
        examples = [e for name in d.clean for e in find(folders.clean_pictures, name)]
        train, validation = folders.split(examples, seed=recipe.seed)
        pictures, noise = [clean for _, clean in decode(train)], recipe.noise
        make = noise_maker(noise)
        if d.copies:
            noisy = copies(pictures, make, recipe)
            source = Photographed(noisy, [deviation(one, clean) for one, _, clean in noisy], d.standardise)
        else:
            source = Made(pictures, make, recipe.objective.name == "noise2noise")
        sources.append((source, d.made_share if photographed else 1.0))
        level = (noise.low + noise.high) / 2 if noise.validation is None else noise.validation
        at = noise_maker(noise, level)
        held_back += [made(clean, at, (recipe.seed, k)) for k, (_, clean) in enumerate(decode(validation, least=0))]
    if not sources:
        raise DataError(f"The recipe {recipe.name} names no pictures; fill in [data] clean, pairs or noisy.")
    return sources, held_back, problems


def given(pictures, known: bool, recipe):
    """(noisy, target, clean) of photographed examples; Noise2Same's target is the noisy picture itself."""
    own = recipe.objective.name == "noise2same"
    return [
        (noisy, noisy if own or target is None else target, target if known else None) for noisy, target in pictures
    ]


def given_pairs(pictures, known: bool):
    """Held-back photographs as (noisy, clean, sigma), sigma estimated."""
    return [(to_float(noisy), to_float(target) if known else None, estimate_sigma(noisy)) for noisy, target in pictures]


def made(clean, make, seed):
    """A held-back clean picture with its fixed noise: (noisy, clean, sigma)."""
    clean = to_float(clean)
    noisy, sigma, _ = make(distinct_channels(clean), np.random.default_rng(seed))
    return as_colour(noisy), clean, sigma


def copies(pictures, make, recipe):
    """(noisy, target, clean) for ``recipe.data.copies`` fixed noisy copies of each picture; float16 saves memory."""
    own = recipe.objective.name == "noise2same"
    answer = []
    for k, clean in enumerate(pictures):
        for i in range(recipe.data.copies):
            noisy = made(clean, make, (recipe.seed, k, i))[0].astype(np.float16)
            answer.append((noisy, noisy if own else clean, clean))
    return answer
