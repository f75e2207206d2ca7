"""How a fit is made: everything that, with the picture, decides its course."""

from dataclasses import asdict, dataclass

from ..errors import ParameterError


@dataclass(frozen=True)
class Recipe:
    """Settings of a fit. The defaults are ``BOOK``, as close to the paper as is known (its own settings are not)."""

    width: int = 256
    depth: int = 3
    omega_first: float = 30.0
    omega_hidden: float = 30.0
    optimiser: str = "adam"
    """``adam``, or ``muon`` on the hidden matrices and Adam, 100 times slower, on the rest."""
    lr: float = 1e-4
    anneal: float = 0.0
    """Part of the steps, the last, over which the learning rate falls to zero."""
    batch: str = "full"
    """``full``: every pixel in every step; ``lattice``: every n-th in both directions, about 1000, later 2000."""
    decay: float = 0.1
    """Pull of the last two layers' weights towards zero, added to the gradient of the squared error on [-1, 1]."""
    average: str = "weights"
    """What ``ema`` averages: ``weights``, or the ``outputs`` they give."""
    ema: float = 0.0
    """How much of the average is left after a step; 0 does not average."""
    steps: int = 600
    seed: int = 0

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(allowed)}.")

    def as_dict(self) -> dict:
        """The recipe as JSON takes it; ``Recipe(**d)`` is the way back."""
        return asdict(self)


CHOICES = {"optimiser": ("adam", "muon"), "batch": ("full", "lattice"), "average": ("weights", "outputs")}
BOOK = Recipe()
FAST = Recipe(
    width=128,
    omega_first=36.0,
    omega_hidden=40.0,
    optimiser="muon",
    lr=0.05,
    anneal=0.5,
    batch="lattice",
    ema=0.9,
    steps=400,
)
PRESETS = {"fast": FAST, "book": BOOK}
