"""The camera behind one noisy picture: parameters of `CameraNoise` whose noise has the picture's statistics.

Indirect inference: the noise is measured in the flattest patches, the same measures are taken of simulated noise on
patches of the same colours, and the parameters are moved until the two agree. What the measures miss (shading taken
for noise or noise for shading, blotches larger than a patch) they miss alike on both sides.
"""

import numpy as np

from ..errors import ImageError
from .camera import CameraNoise, mosaic
from .correlation import luma_chroma

SIZE, MARGIN = 16, 4  # side of a patch; pixels around it in the simulation, for smoothing to draw from
CLASSES, PER_CLASS = 8, 12  # brightness classes of equal population, and the flattest patches taken from each
MOST_PATCHES = 20_000  # to choose from: bounds time and memory
MOST_CLIPPED = 0.2  # share of black or white pixels in a patch; the simulation clips as well
FLOOR = 2e-4  # standard deviation below which there is no noise to fit, image units
LOG_SIGMA, LAG = 0.1, 0.03  # agreement asked of a level (relative) and of a correlation

# What is searched: start, lowest, highest, and the spread expected about the start. The spread is a weak prior that
# decides only what the picture leaves open. Variances and gains are searched in their logarithm.
UNKNOWNS = {
    "shot": (np.log(1e-3), np.log(1e-8), np.log(0.5), 3.0),
    "read": (np.log(1e-5), np.log(1e-10), np.log(0.1), 3.0),
    "tone": (0.7, 0.05, 1.0, 0.3),
    "correction": (0.5, 0.0, 1.5, 0.5),
    "grain": (0.4, 0.2, 2.0, 0.4),
    "red": (np.log(2.0), np.log(0.5), np.log(6.0), 0.4),
    "blue": (np.log(1.8), np.log(0.5), np.log(6.0), 0.4),
    "saturation": (0.4, 0.0, 1.5, 0.4),
    "blotch": (1.0, 0.2, 4.0, 1.0),
}
LOGARITHMIC = ("shot", "read", "red", "blue")
OF_COLOUR = ("red", "blue", "saturation", "blotch")  # nothing to be learnt of these from a grey picture


def fit(noisy) -> CameraNoise:
    """A camera that makes noise like that of a picture, H x W x C (C 1 or 3), found without a clean partner.

    JPEG is not identified: its traces are fitted as smoothing. Raises ImageError for a picture that is too small,
    too much clipped, or without noise. Takes a few seconds, whatever the size.
    """
    from scipy.optimize import least_squares

    from ..images import distinct_channels, to_float

    image = distinct_channels(to_float(noisy))
    patches = flat_patches(image)
    ground = patches.mean((2, 3))
    noise = _without_shading(patches)
    if noise.std() < FLOOR:
        raise ImageError("The flat parts of this picture hold no noise, so there is no camera to fit to it.")
    wanted, channels = measures(noise), ground.shape[-1]
    names = [n for n in UNKNOWNS if channels == 3 or n not in OF_COLOUR]
    start, low, high, spread = np.transpose([UNKNOWNS[n] for n in names])
    start[:2] += 2 * np.log(noise.std() / 0.03)  # the defaults make about 0.03

    def camera(x):
        return CameraNoise(**{n: float(np.exp(v) if n in LOGARITHMIC else v) for n, v in zip(names, x, strict=True)})

    def disagreement(x):
        return np.concatenate([measures(_simulated(camera(x), ground)) - wanted, (x - start) / spread])

    best = least_squares(
        disagreement, start, bounds=(low, high), loss="soft_l1", x_scale=spread, diff_step=0.02, max_nfev=25
    )
    return camera(best.x)


def flat_patches(image) -> np.ndarray:
    """The flattest patches, little of them clipped, of each brightness class: CLASSES x PER_CLASS x SIZE x SIZE x C."""
    h, w, channels = image.shape
    if min(h, w) >= SIZE:
        windows = np.lib.stride_tricks.sliding_window_view(image, (SIZE, SIZE), (0, 1))
        step = max(SIZE // 2, int(np.sqrt(h * w / MOST_PATCHES)))
        patches = windows[::step, ::step].reshape(-1, channels, SIZE, SIZE).transpose(0, 2, 3, 1)
        clipped = np.mean((patches < 0.5 / 255) | (patches > 254.5 / 255), (1, 2, 3))
        patches = patches[clipped < MOST_CLIPPED]
    if min(h, w) < SIZE or len(patches) < CLASSES * PER_CLASS:
        raise ImageError(
            f"This picture of {w} x {h} pixels is too small, or too much of it is black or white, to measure its "
            f"noise: {CLASSES * PER_CLASS} flat patches of {SIZE} x {SIZE} pixels are needed."
        )
    texture = _texture(patches)
    classes = np.array_split(np.argsort(patches.mean((1, 2, 3))), CLASSES)
    return np.stack([patches[c[np.argsort(texture[c])[:PER_CLASS]]] for c in classes])


def _texture(patches):
    """What is left of a scene in each patch: its variance, and that of its 4 x 4 means, where noise counts less.

    Picking by the variance alone would pick the patches that chance made quiet, and read the noise too low.
    """
    rest = _without_shading(patches)
    coarse = rest.mean(3).reshape(-1, SIZE // 4, 4, SIZE // 4, 4).mean((2, 4))
    return rest.var((1, 2)).mean(1) * coarse.var((1, 2))


def measures(noise) -> np.ndarray:
    """Level per class and channel, correlation in space, colour against brightness; each in units of what matters.

    Correlations are medians over the classes: some brightness occurs only on textured ground.
    """
    level = np.log(np.maximum(noise.std((1, 2, 3)), FLOOR / 10)).ravel() / LOG_SIGMA
    luma, chroma = luma_chroma(noise)
    lags = [_neighbours(luma, d) for d in (1, 2)]
    if noise.shape[-1] == 1:
        return np.concatenate([level, np.divide(lags, LAG)])
    lags += [_neighbours(chroma, d) for d in (1, 2, 4)]
    strength = [np.maximum(part.std((1, 2, 3, 4)), FLOOR / 10) for part in (chroma, luma)]
    colour = np.log(np.median(strength[0] / strength[1])) / LOG_SIGMA
    return np.concatenate([level, np.divide(lags, LAG), [colour]])


def _neighbours(noise, distance):
    """Median over the classes of the correlation at a distance, across and down, all channels together."""
    within = (1, 2, 3, 4)
    down = np.mean(noise[:, :, distance:] * noise[:, :, :-distance], within)
    across = np.mean(noise[:, :, :, distance:] * noise[:, :, :, :-distance], within)
    return np.median((down + across) / 2 / np.maximum(np.mean(noise**2, within), FLOOR**2))


def _without_shading(patches):
    """Patches ... x SIZE x SIZE x C less their best plane."""
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    ramp /= np.sqrt(SIZE * np.sum(ramp**2))
    centred = patches - patches.mean((-3, -2), keepdims=True)
    down = np.einsum("...ijc,i->...c", centred, ramp)[..., None, None, :] * ramp[:, None, None]
    across = np.einsum("...ijc,j->...c", centred, ramp)[..., None, None, :] * ramp[:, None]
    return centred - down - across


def _simulated(camera, ground):
    """The camera's noise on plain patches of these colours, as `flat_patches` would bring it: the same each time.

    The sensor's noise is Gaussian here: a Poisson draw would jump when its mean moves.
    """
    cell = SIZE + 2 * MARGIN
    sensor = camera.unprocess(np.repeat(np.repeat(ground, cell, 0), cell, 1))
    light = mosaic(sensor, (0, 0))
    draw = np.random.default_rng(0).standard_normal(light.shape, np.float32)
    noise = camera.developed(sensor, np.sqrt(camera.shot * light + camera.read) * draw, (0, 0), ground.shape[-1])
    cells = noise.reshape(CLASSES, cell, PER_CLASS, cell, -1).swapaxes(1, 2)[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    return _without_shading(np.clip(ground[:, :, None, None] + cells, 0, 1))
