"""What the tests over every method ask of each."""

import denoisers


def asked(name, **params):
    """Those of the parameters that a method has; few steps for one that trains on the picture."""
    known = {p.name for p in denoisers.spec(name).params}
    quick = {"steps": 20} if denoisers.spec(name).trains else {}
    return quick | {k: v for k, v in params.items() if k in known}


GAINS = {
    "awgn": ("gaussian", 25 / 255, 5),
    "camera": ("camera", 25 / 255, 2),
    "gaussian": ("gaussian", 25 / 255, 5),
    "poisson": ("poisson", 25 / 255, 4),
    "text": ("text", 0.25, 5),
    "impulse": ("impulse", 0.5, 5),
}
"""What weights of each tag are for: noise model, level, and the decibels they must gain on it."""


def corrupted(clean, tag):
    """(noisy, decibels to gain) for weights of a tag."""
    model, level, gain = GAINS[tag]
    return denoisers.noise.add_noise(clean, model, level), gain
