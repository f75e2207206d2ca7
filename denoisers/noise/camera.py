"""Camera noise: a developed picture is taken back to the sensor, where the noise arises, and developed again.

Unprocessing and noise as in Brooks et al., "Unprocessing images for learned raw denoising", CVPR 2019, section 3;
demosaicking as in Malvar, He and Cutler, ICASSP 2004. Everything that develops acts on the difference the noise
makes, so a camera without noise returns the picture it was given. Arrays in here are C x H x W, one colour a plane.
"""

import io
from dataclasses import dataclass, replace

import numpy as np

GAMMA = 2.2
READ_SLOPE, READ_OFFSET, READ_SCATTER = 2.18, 1.20, 0.26  # log read against log shot: Brooks et al., section 3.1
SHIFT = 4.0  # pixels over which the shift of the mean is averaged
BAND = 3_000_000  # values at a time, full width: bounds memory; noise of one band knows nothing of the next
PATCH = 64  # side of the grey patch on which a camera's gain is measured


@dataclass(frozen=True)
class CameraNoise:
    """One camera at one setting. Defaults: a compact camera in dim light, about 10/255 at mid grey."""

    shot: float = 3e-3
    """Variance per unit of light on the sensor, whose white is 1: the inverse of the full well in photons."""
    read: float = 1e-5
    """Variance in the dark, sensor units squared."""
    red: float = 2.0
    """White balance gain of red over green."""
    blue: float = 1.7
    """White balance gain of blue over green."""
    saturation: float = 0.4
    """The colour matrix multiplies what differs from grey by 1 + this: 0.4 to 1.0 for the matrices of four makers."""
    tone: float = 0.8
    """Share of the S-shaped tone curve 3 y^2 - 2 y^3 on top of the gamma; 0 is gamma alone."""
    correction: float = 0.5
    """Demosaicking, 0 bilinear to 1 with the whole gradient correction: more lowers the correlation in space."""
    grain: float = 0.0
    """Smoothing of the brightness of the noise, pixels (sigma): in-camera denoising, resizing."""
    blotch: float = 0.8
    """Smoothing of the colour of the noise, pixels: more leaves fainter, larger colour blotches."""
    jpeg: int | None = None
    """JPEG quality of the file, 4:2:0; None keeps it lossless and the noise past [0, 1] unclipped."""

    def apply(self, image, rng) -> np.ndarray:
        """A noisy copy of a clean picture, H x W x C float32 (C 1 or 3) in [0, 1]; the noise itself is not clipped."""
        image = np.asarray(image, np.float32)
        bands = np.array_split(image, min(len(image), 1 + image.size // BAND))
        noisy = np.concatenate([self._band(band, rng) for band in bands])
        return noisy if self.jpeg is None else through_jpeg(noisy, self.jpeg, rng)

    def at(self, level: float, channels: int = 3) -> "CameraNoise":
        """This camera at the light that gives standard deviation ``level`` (image units) on mid grey.

        Read noise keeps its ratio to shot noise. Of strong noise, black and white cut off a part.
        """
        grey = np.full((PATCH, PATCH, channels), 0.5, np.float32)
        unit = replace(self, jpeg=None).apply(grey, np.random.default_rng(0)).std()
        more = float(level / unit) ** 2
        return replace(self, shot=self.shot * more, read=self.read * more)

    def unprocess(self, image) -> np.ndarray:
        """Sensor values, 3 x H x W, of a picture: inverse tone curve, gamma, colour matrix and white balance."""
        colour = np.broadcast_to(np.clip(image, 0, 1), (*image.shape[:2], 3)).transpose(2, 0, 1)
        linear = np.maximum(self._untone(np.ascontiguousarray(colour)), 0) ** np.float32(GAMMA)
        grey = linear.mean(0)
        return (grey + (linear - grey) / (1 + self.saturation)) / self._white_balance

    def developed(self, sensor, noise, phase, channels: int = 3) -> np.ndarray:
        """What sensor noise, a mosaic H x W, becomes in the picture: H x W x ``channels``, to add to the clean one."""
        noise = demosaic(noise, phase, self.correction)
        clean, noisy, mirrored = (self._develop(sensor + n) for n in (0, noise, -noise))
        # Curved tones move the mean, clipping too. References are aligned in brightness, so real pairs do not show it.
        noise = noisy - clean - blur((noisy + mirrored) / 2 - clean, SHIFT)
        luma = noise.mean(0)
        smooth = blur(luma, self.grain)
        if channels == 1:
            return smooth[..., None]
        return (smooth + blur(noise - luma, self.blotch)).transpose(1, 2, 0)

    def _band(self, image, rng):
        sensor = self.unprocess(image)
        phase = rng.integers(0, 2, 2)  # a crop starts anywhere on the colour filter
        return image + self.developed(sensor, self._sensor_noise(mosaic(sensor, phase), rng), phase, image.shape[2])

    def _sensor_noise(self, light, rng):
        """Poisson-Gaussian noise of a mosaic, variance shot x light + read."""
        noise = np.float32(self.read**0.5) * rng.standard_normal(light.shape, np.float32)
        if self.shot > 0:
            photons = light / self.shot
            noise += np.float32(self.shot) * (rng.poisson(photons) - photons).astype(np.float32)
        return noise

    @property
    def _white_balance(self):
        return np.array([self.red, 1, self.blue], np.float32)[:, None, None]

    def _develop(self, sensor):
        balanced = sensor * self._white_balance
        grey = balanced.mean(0)
        linear = np.clip(grey + (balanced - grey) * (1 + self.saturation), 0, 1)
        return self._tone(linear ** np.float32(1 / GAMMA))

    def _tone(self, y):
        return y * (1 - self.tone + self.tone * y * (3 - 2 * y))

    def _untone(self, y):
        """Inverse of the tone curve, a cubic about (1/2, 1/2): at tone 1 the 1/2 - sin(asin(1 - 2 y) / 3) of Brooks."""
        if self.tone == 0:
            return y
        third = (1 + self.tone / 2) / (6 * self.tone)
        sine = (y - np.float32(0.5)) / (4 * self.tone * third**1.5)
        return np.float32(0.5) + 2 * third**0.5 * np.sin(np.arcsin(np.clip(sine, -1, 1)) / 3)


def random_camera(rng, level=(2 / 255, 40 / 255)) -> CameraNoise:
    """A camera for training: gains, read noise and sharpness as cameras have them, ``level`` on mid grey.

    The level is log-uniform between two values above 0, image units. The ranges cover PolyU (developed in the
    camera: colour smoothed, JPEG) and RENOIR (bilinear, colour left alone).
    """
    shot = np.exp(rng.uniform(np.log(1e-4), np.log(1.2e-2)))
    grain = rng.choice([0, rng.uniform(0.3, 0.6), rng.uniform(0.6, 1.2)], p=[0.4, 0.4, 0.2])
    camera = CameraNoise(
        shot=shot,
        read=np.exp(READ_SLOPE * np.log(shot) + READ_OFFSET + rng.normal(0, READ_SCATTER)),
        red=rng.uniform(1.5, 2.4),
        blue=rng.uniform(1.4, 2.2),
        saturation=rng.uniform(0, 1),
        tone=rng.uniform(0.3, 1),
        correction=rng.uniform(0, 1),
        grain=grain,
        blotch=rng.choice([grain, rng.uniform(0.5, 3)], p=[0.3, 0.7]),
    ).at(np.exp(rng.uniform(*np.log(level))))
    return replace(camera, jpeg=int(rng.integers(60, 99)) if rng.random() < 0.6 else None)


def mosaic(colour, phase) -> np.ndarray:
    """What an RGGB colour filter lets through of 3 x H x W: H x W, red first at (row, column) ``phase``."""
    r, c = phase
    out = colour[1].copy()
    out[r::2, c::2] = colour[0, r::2, c::2]
    out[1 - r :: 2, 1 - c :: 2] = colour[2, 1 - r :: 2, 1 - c :: 2]
    return out


def demosaic(raw, phase, correction: float = 1.0) -> np.ndarray:
    """3 x H x W from an RGGB mosaic H x W: bilinear, plus ``correction`` x the gradient correction of Malvar et al.

    Linear in ``raw``, so that noise can be demosaicked by itself.
    """
    h, w = raw.shape
    padded = np.pad(raw, 2, mode="reflect")  # keeps the colours of the filter in step

    def at(dy, dx):
        return padded[2 + dy : 2 + dy + h, 2 + dx : 2 + dx + w]

    beside, above = at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)
    beside2, above2 = at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)
    diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    k = np.float32(correction / 8)
    green = (beside + above) / 4 + k * (4 * raw - beside2 - above2)
    row = beside / 2 + k * (5 * raw + above2 / 2 - beside2 - diagonal)
    column = above / 2 + k * (5 * raw + beside2 / 2 - above2 - diagonal)
    cross = diagonal / 4 + k * (6 * raw - 1.5 * (beside2 + above2))

    out = np.stack([raw, raw, raw])
    for colour, (r, c) in ((0, phase), (2, (1 - phase[0], 1 - phase[1]))):
        out[colour, r::2, 1 - c :: 2] = row[r::2, 1 - c :: 2]
        out[colour, 1 - r :: 2, c::2] = column[1 - r :: 2, c::2]
        out[colour, 1 - r :: 2, 1 - c :: 2] = cross[1 - r :: 2, 1 - c :: 2]
        out[1, r::2, c::2] = green[r::2, c::2]
    return out


def blur(planes, sigma: float) -> np.ndarray:
    """Gaussian of ``sigma`` pixels over the last two axes."""
    if sigma < 0.2:  # the neighbours' weight is below 1e-5
        return planes
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(planes, sigma, axes=(-2, -1), truncate=3)


def through_jpeg(image, quality: int, rng=None) -> np.ndarray:
    """H x W x C after JPEG of ``quality`` 1 to 100, 4:2:0; clipped to [0, 1] and rounded to 8 bits, as a file is.

    With ``rng`` the 8 x 8 blocks start anywhere, as they do in a crop of a larger picture.
    """
    from PIL import Image

    top, left = (0, 0) if rng is None else rng.integers(0, 8, 2)
    pixels = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    pixels = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), np.float32).reshape(pixels.shape)
    return decoded[top:, left:] / np.float32(255)
