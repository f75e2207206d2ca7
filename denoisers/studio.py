"""InvDN's two latents, laid open: take a picture apart, and put it together with another latent.

>>> import denoisers
>>> from denoisers.studio import Studio
>>> invdn = denoisers.load("invdn")  # doctest: +SKIP
>>> studio = Studio(invdn.network, invdn.device)  # doctest: +SKIP
>>> analysis = studio.analyse(noisy)  # 400 x 600 x 3: low is 100 x 150 x 3, latent 100 x 150 x 45 # doctest: +SKIP
>>> restoration = studio.restore(analysis, samples=16)  # clean: .mean, .std, .samples # doctest: +SKIP
>>> strength = studio.strength(analysis, level=10 / 255)  # doctest: +SKIP
>>> more_noisy_pictures = studio.generate(analysis, strength, count=50)  # doctest: +SKIP

Liu et al., "Invertible Denoising Network", CVPR 2021 (arXiv 2104.10546): the latent z that the network finds in
a noisy picture holds detail and noise, and no prior binds it; z_HF ~ N(0, I) replaces it for restoring.

A picture on its way through the network never has more numbers than it came with. So each block meets the whole
picture, tile by tile, before the next block does: the same sums as in one pass, whatever the size.
"""

from dataclasses import dataclass, replace

import numpy as np

from .engine.network import watched
from .errors import ImageError, ParameterError
from .images import is_grey, to_float
from .run import Run

TILE = 128
"""Side of one block's tiles, in its own pixels; even, as Haar cells are 2 x 2. A layer on one takes some 10 ms and
stays near the CPU's caches: larger tiles save their overlap and lose that."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """What InvDN found in an H x W x C picture, on a grid of h = ceil(H / m) by w = ceil(W / m).

    m is the network's ``multiple``: 4 as published, where the latent has 45 channels.

    Attributes:
        low: h x w x 3, the clean picture at low resolution, about [0, 1].
        latent: h x w x 3 (m^2 - 1), detail and noise, without bounds.
        shape: (H, W, C).
        grey: whether the picture is, and so all that is made of it.
        grid, corner: (h, w) of the whole picture and where this part of it begins, if it is a part.
    """

    low: np.ndarray
    latent: np.ndarray
    shape: tuple[int, int, int]
    grid: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    grey: bool = False

    def noise(self, generator: np.random.Generator) -> np.ndarray:
        """N(0, I) in the shape of the latent. Drawn for the whole picture: a part gets its own piece of it.

        Each row has a generator of its own, so that a part need not draw the rows above and below it.
        """
        seed, across = int(generator.integers(1 << 62)), (self.grid[1], self.latent.shape[-1])
        (top, left), (height, width) = self.corner, self.latent.shape[:2]
        rows = (np.random.default_rng((seed, row)) for row in range(top, top + height))
        return np.stack([row.standard_normal(across, np.float32)[left : left + width] for row in rows])


@dataclass(frozen=True, eq=False)
class Restoration:
    """Restored pictures, H x W x C float32, not clipped: ``samples``, one a draw, their ``mean`` and ``std``."""

    mean: np.ndarray
    samples: list[np.ndarray]
    std: np.ndarray


class Spread:
    """Mean and standard deviation (n - 1; zero of one) of arrays that come one by one. Welford, Technometrics 1962."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, array):
        self.count += 1
        step = array - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (array - self.mean)

    @property
    def std(self):
        return np.sqrt(self.squares / max(self.count - 1, 1))


def in_tiles(block, x, reach: int, run: Run):
    """block(x) of N x C x H x W, which keeps the shape and looks ``reach`` around, computed tile by tile."""
    import torch

    out = torch.empty_like(x)
    corners = [(top, left) for top in range(0, x.shape[2], TILE) for left in range(0, x.shape[3], TILE)]
    for i, (top, left) in enumerate(corners):
        run.step(i / len(corners))
        above, before = min(top, reach), min(left, reach)
        tile = block(x[:, :, top - above : top + TILE + reach, left - before : left + TILE + reach])
        out[:, :, top : top + TILE, left : left + TILE] = tile[:, :, above : above + TILE, before : before + TILE]
    return out


def in_strips(haar, x, run: Run):
    """haar(x), which looks no further than its 2 x 2 cells but changes the shape."""
    import torch

    strips = []
    for strip in x.split(TILE, 2):
        run.poll()
        strips.append(haar(strip))
    return torch.cat(strips, 2)


class Studio:
    """InvDN at work on whole pictures of any size; a grey one meets it as three equal channels, and
    what comes back is grey.

    Args:
        network: an ``InvDN`` on ``device``.
        dtype: torch dtype of its convolutions, float32 by default. Less is faster, but then an analysis no
            longer inverts to the very picture, and small changes of the latent drown in rounding.

    Every call takes ``run`` for progress and cancelling; ``seed`` may be a generator to be continued.
    """

    def __init__(self, network, device="cpu", dtype=None):
        self.network, self.device, self.dtype = network, device, dtype

    def analyse(self, image, run: Run | None = None) -> Analysis:
        """The clean picture at low resolution, and the latent, of an H x W or H x W x C picture in [0, 1]."""
        image = to_float(image)
        height, width, colours = shape = image.shape
        if colours < self.network.colours:
            image = image.repeat(self.network.colours, -1)
        down, right = -height % self.network.multiple, -width % self.network.multiple
        padded = np.pad(image, ((0, down), (0, right), (0, 0)), mode="reflect")
        low, latent = np.split(self.through(padded, run), [self.network.colours], -1)
        return Analysis(low, latent, shape, grid=latent.shape[:2], grey=is_grey(image))

    def window(self, image, rows: slice, columns: slice, run: Run | None = None) -> Analysis:
        """What ``part`` gives of the picture's analysis, without the time for the rest, but for the cut edges."""
        m, grid = self.network.multiple, tuple(-(-n // self.network.multiple) for n in image.shape[:2])
        (top, bottom, _), (left, right, _) = (s.indices(n) for s, n in zip((rows, columns), grid, strict=True))
        analysis = self.analyse(image[top * m : bottom * m, left * m : right * m], run)
        return replace(analysis, grid=grid, corner=(top, left), grey=is_grey(image))

    def invert(self, analysis: Analysis, latent=None, run: Run | None = None) -> np.ndarray:
        """The picture, H x W x C, not clipped, that has this analysis; with another latent if one is given."""
        latent = analysis.latent if latent is None else latent
        height, width, colours = analysis.shape
        whole = self.through(np.concatenate([analysis.low, latent], -1, dtype=np.float32), run, backwards=True)
        image = whole[:height, :width]
        return image.mean(-1, keepdims=True).repeat(colours, -1) if analysis.grey else image

    def draws(self, analysis: Analysis, samples=1, temperature=1.0, seed=0, run: Run | None = None):
        """Restored pictures one by one, each with a latent temperature z_HF of its own, z_HF ~ N(0, I)."""
        if samples < 1:
            raise ParameterError(f"samples is {samples}; restoring takes at least 1.")
        generator, run = np.random.default_rng(seed), run or Run()
        for i in range(samples):
            latent = temperature * analysis.noise(generator)
            yield self.invert(analysis, latent, run.part(i / samples, (i + 1) / samples))

    def restore(self, analysis: Analysis, samples=1, temperature=1.0, seed=0, run: Run | None = None) -> Restoration:
        """The pictures of ``draws``, their mean and their spread."""
        spread, kept = Spread(), []
        for picture in self.draws(analysis, samples, temperature, seed, run):
            spread.add(picture)
            kept.append(picture)
        return Restoration(spread.mean, kept, spread.std)

    def generate(self, analysis: Analysis, strength: float, count=1, seed=0, run: Run | None = None):
        """A list of new noisy pictures of the same scene: latent + strength N(0, I). Strength 0 is the picture."""
        generator, run = np.random.default_rng(seed), run or Run()
        parts = [run.part(i / count, (i + 1) / count) for i in range(count)]
        return [self.invert(analysis, analysis.latent + strength * analysis.noise(generator), part) for part in parts]

    def strength(self, analysis: Analysis, level: float, seed=0, run: Run | None = None) -> float:
        """The strength at which ``generate`` adds noise of standard deviation ``level``, image units.

        Sought from small strengths, where the two are proportional. It depends on the weights: from 2e-4, published
        for the authors', to some of the latent's own spread.
        """
        run, strength = run or Run(), max(float(analysis.latent.std()) / 100, 1e-4)
        same = self.invert(analysis, run=run.part(0, 0.25))
        for i in range(1, 4):
            (more,) = self.generate(analysis, strength, seed=seed, run=run.part(i / 4, (i + 1) / 4))
            strength *= level / float(np.sqrt(np.square(more - same).mean()))
        return strength

    def swap(self, a: Analysis, b: Analysis, run: Run | None = None) -> np.ndarray:
        """a's low-resolution picture with b's latent. The latent holds detail too: use two shots of one scene."""
        if a.shape != b.shape:
            sizes = [" x ".join(map(str, x.shape)) for x in (a, b)]
            raise ImageError(f"The pictures are {sizes[0]} and {sizes[1]}; to swap latents they must be of one size.")
        return self.invert(a, b.latent, run)

    def part(self, analysis: Analysis, rows: slice, columns: slice) -> Analysis:
        """A window of an analysis, for a quick look, in the pixels of ``low``, of m x m pixels of the picture each.

        Draws equal those of the whole picture. Near its cut edges the picture differs, where it misses its
        surroundings; take some 32 pixels of the picture more than are shown.
        """
        (top, bottom, _), (left, right, _) = (s.indices(n) for s, n in zip((rows, columns), analysis.grid, strict=True))
        cut, m = np.s_[top:bottom, left:right], self.network.multiple
        height, width, colours = analysis.shape
        shape = (min(bottom * m, height) - top * m, min(right * m, width) - left * m, colours)
        return replace(analysis, low=analysis.low[cut], latent=analysis.latent[cut], shape=shape, corner=(top, left))

    def through(self, pixels, run: Run | None, backwards=False) -> np.ndarray:
        """H x W x C through all operations of the network, block by block."""
        import torch

        run = run or Run()
        x = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None]
        operations = list(self.network.operations)[:: -1 if backwards else 1]
        kind, n = torch.device(self.device).type, len(operations)
        lower = self.dtype not in (None, torch.float32)
        with torch.inference_mode(), torch.autocast(kind, self.dtype, enabled=lower), watched(run.poll):
            for i, operation in enumerate(operations):
                function, part = operation.inverse if backwards else operation, run.part(i / n, (i + 1) / n)
                x = in_tiles(function, x, operation.reach, part) if operation.reach else in_strips(function, x, part)
        run.step(1.0)
        return x[0].permute(1, 2, 0).cpu().numpy()
