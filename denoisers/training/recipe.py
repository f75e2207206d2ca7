"""A recipe: everything that decides what a training makes, in one TOML file.

``[network]`` the architecture and its arguments; ``[data]`` which pictures, and how they are cropped;
``[noise]`` what is put on clean ones; ``[objective]`` the loss; ``[optimiser]`` and ``[schedule]`` the descent. These
suit a CPU; ``[gpu.network]``, ``[gpu.data]`` and ``[gpu.optimiser]`` name what a GPU takes instead, see ``Recipe.on``.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ParameterError
from ..networks import ARCHITECTURES
from ..noise.models import MODELS, SHARES
from ..own_weights import methods
from ..weights import read_ours

FOLDER = Path(__file__).parent / "recipes"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Part):
    clean: list[str] = []
    """Folders of clean pictures, below the data folder; noise is made by ``[noise]``."""
    pairs: list[str] = []
    """Folders of noisy/clean pairs."""
    noisy_pairs: list[str] = []
    """Folders of scenes photographed more than once, all shots noisy."""
    noisy: list[str] = []
    """Folders of noisy pictures without any partner."""
    made_share: float = Field(0.5, ge=0, le=1)
    """Share of the crops that come from clean pictures with noise made, where there are photographed ones too."""
    grey: float = Field(0, ge=0, le=1)
    """Share of the crops of which one channel stands in all three, as grey pictures do: to a blind network for colour
    their noise is none at all unless it has met it."""
    copies: int = Field(0, ge=0)
    """0: fresh noise on every crop. n: n fixed noisy copies of each clean picture, as if photographed."""
    crop: list[Annotated[int, Field(gt=0)]] = Field([96], min_length=1)
    """Sides of the square crops, pixels; one is drawn a batch, the batch keeps its number of pixels."""
    batch: int = Field(8, ge=1)
    """Crops a batch at the first crop size, a process."""
    standardise: bool = False
    """Every picture minus its mean, divided by its standard deviation, channel by channel."""
    sigma_jitter: float = Field(0.0, ge=0)
    """Spread of the noise level that the network is told about the true one, as a factor exp(jitter x N(0, 1)):
    in use the level is an estimate, with about that error."""


class Noise(Part):
    model: str = "gaussian"
    low: float = 0
    high: float = 55
    """Range of the level, uniform: of 255 where the level is a standard deviation, else in the model's own unit."""
    validation: float | None = None
    """Level at which a training is scored; the middle of the range if none is given."""

    @model_validator(mode="after")
    def known(self):
        if self.model not in MODELS:
            raise ValueError(f"there is no noise model {self.model!r}; there is {', '.join(MODELS)}")
        if not 0 <= self.low <= self.high or (self.model == "camera" and self.low == 0):
            raise ValueError("the levels must rise from low to high, low at least 0, for camera noise above 0")
        if self.model in SHARES and max(self.high, self.validation or 0) > 1:
            raise ValueError(f"a level of {self.model} is a share, 1 at most")
        if self.validation is not None and (self.validation < 0 or (self.model == "camera" and self.validation == 0)):
            raise ValueError("the validation's level must be at least 0, for camera noise above 0")
        return self


class Objective(Part):
    name: Literal["supervised", "noise2noise", "noise2same", "invdn"] = "supervised"
    loss: Literal["l1", "l2", "annealed_l0", "masked_l2", "relative_hdr_l2", "charbonnier"] = "l1"
    """For supervised and noise2noise: a function of ``losses.py``."""
    options: dict = {}
    """Further keyword arguments of the objective, see ``objectives.py``."""


class Optimiser(Part):
    name: Literal["adamw", "muon"] = "adamw"
    """See ``descent.py``. Muon needs far fewer steps."""
    lr: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the gradient."""
    freeze_norm: bool = False
    """Batch normalisation keeps the statistics it begins with, mean 0 and variance 1 unless ``start`` brought others:
    an affine layer. The few crops that a CPU takes at a time, each of another noise level, have none to share."""
    recycle: int = Field(0, ge=0)
    """Steps after which channels that have fallen silent begin anew, see ``recycle.py``; 0 for never."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and kept."""


class Schedule(Part):
    steps: int = Field(200_000, ge=1)
    warmup: int = 200
    shape: Literal["cosine", "step", "constant"] = "cosine"
    milestones: list[float] = [0.5, 0.75, 0.9]
    """For "step": shares of the training after which the rate is multiplied by ``factor``."""
    factor: float = 0.5
    validate_every: int = Field(500, ge=1)


class Gpu(Part):
    """What a CUDA GPU takes in place of a CPU's values, entry by entry."""

    network: dict = {}
    data: dict = {}
    optimiser: dict = {}


class Recipe(Part):
    title: str
    method: str
    tag: str
    seed: int = 0
    start: str | None = None
    """Weights of the catalogue to begin with, METHOD.TAG, of the same architecture and arguments; from scratch if
    none are named."""
    network: dict
    data: Data
    noise: Noise = Noise()
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    gpu: Gpu = Gpu()

    @model_validator(mode="after")
    def known(self):
        if self.network.get("architecture") not in ARCHITECTURES:
            raise ValueError(f"[network] architecture must be one of {', '.join(ARCHITECTURES)}")
        if self.method not in (fitting := methods(self.network["architecture"])):
            raise ValueError(f"method must be {' or '.join(fitting)}, whose network this architecture is")
        if self.start is not None and "." not in self.start:
            raise ValueError(f"start must be METHOD.TAG, not {self.start!r}")
        if self.data.noisy and self.objective.name != "noise2same":
            raise ValueError("noisy pictures without a partner are for the objective noise2same")
        if self.objective.loss == "masked_l2" and self.noise.model != "bernoulli":
            raise ValueError("the loss masked_l2 is for bernoulli noise, which says where it struck")
        photographed = bool(self.data.pairs or self.data.noisy_pairs)
        if self.objective.loss == "masked_l2" and photographed:
            raise ValueError("the loss masked_l2 is for clean pictures alone: none says where a photograph was struck")
        if self.objective.name == "invdn" and self.data.noisy_pairs:
            raise ValueError("the objective invdn needs clean pictures; noisy_pairs have none")
        if self.data.standardise and self.data.clean and not self.data.copies:
            raise ValueError("standardised pictures need copies: fresh noise on a crop knows no picture's statistics")
        if "architecture" in self.gpu.network:
            raise ValueError("a GPU can train another size, not another architecture")
        return self

    @property
    def name(self) -> str:
        return f"{self.method}.{self.tag}"

    @property
    def kind(self) -> str:
        """The noise that is learned: a name of ``noise.models``, or "camera" for pictures that came with theirs."""
        return self.noise.model if self.data.clean else "camera"

    def on(self, device: str) -> "Recipe":
        """The recipe for a device ("cpu", "cuda:1", ...), without ``gpu``: its values are in their places."""
        facts = self.model_dump()
        for part, values in facts.pop("gpu").items():
            facts[part] |= values if device.startswith("cuda") else {}
        return Recipe(**facts)

    def build(self):
        """The network as the training begins with it. Raises DenoiserError: a wrong argument, ``start`` or the crops do
        not fit."""
        from ..networks import build

        try:
            network = build(**self.network)
        except TypeError as error:
            raise ParameterError(f"network: {error}.") from error
        if any(side % network.multiple for side in self.data.crop):
            raise ParameterError(f"crop: this network takes multiples of {network.multiple} pixels only.")
        if self.start:
            weights = read_ours(*self.start.split(".", 1)).state_dict()
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise ParameterError(f"start: {self.start} is not a network of this recipe's size.") from error
        return network


def names() -> list[str]:
    """The recipes that come with Grainwise, METHOD.TAG."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(recipe) -> Recipe:
    """A recipe from a file, or by the name of one that comes with Grainwise ("drunet.awgn").

    Raises ParameterError that names the entry that is wrong.
    """
    path = Path(recipe)
    if not path.is_file() and path.name == str(recipe):
        path = FOLDER / f"{path.name.removesuffix('.toml')}.toml"
    if not path.is_file():
        raise ParameterError(f"There is no recipe {str(recipe)!r}: give a TOML file or one of {', '.join(names())}.")
    try:
        return parse(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{path.name} is not TOML: {error}.") from error


def parse(facts: dict) -> Recipe:
    """A recipe from a dictionary of the same shape as the file."""
    table = ""
    try:
        recipe = Recipe(**facts)
        table = "gpu."
        recipe.on("cuda")
        return recipe
    except ValidationError as error:
        first = error.errors()[0]
        where = table + (".".join(map(str, first["loc"])) or "recipe")
        raise ParameterError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from error
