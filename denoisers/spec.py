"""DenoiserSpec: the one description of a method that draws its form, its flags and its documentation."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from .errors import ParameterError

Family = Literal["classical", "zero-shot", "self-supervised", "supervised", "invertible"]


class Param(BaseModel):
    """One parameter of a method.

    ``kind="sigma"`` is a noise level: image units ([0, 1]) in the library, the 0-255 scale of the field on
    screen and on the command line. ``shown`` and ``parse`` are the only places that convert. A default of
    None means "chosen from the picture".
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    kind: Literal["float", "int", "sigma", "bool", "choice"] = "float"
    unit: str = ""
    default: Any = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    advanced: bool = False
    help: str = ""

    @property
    def scale(self) -> float:
        return 255.0 if self.kind == "sigma" else 1.0

    def shown(self, value):
        """Library value -> the value a person reads."""
        return value * self.scale if self.kind == "sigma" and value is not None else value

    def parse(self, value):
        """The value a person wrote (a string, or a number in shown units) -> library value."""
        if value is None or value in ("", "auto"):
            return None
        try:
            if self.kind == "bool":
                return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
            if self.kind == "choice":
                return str(value)
            return int(value) if self.kind == "int" else float(value) / self.scale
        except (ValueError, KeyError) as error:
            raise ParameterError(f"{self.name}: {value!r} is not a {self.kind}.") from error

    def check(self, value):
        """A library value, if it is allowed; ParameterError says the range if not."""
        if value is None:
            if self.default is not None:
                raise ParameterError(f"{self.name} must be given; its usual value is {self.shown(self.default)}.")
            return None
        if self.kind == "choice":
            if str(value) not in self.choices:
                raise ParameterError(f"{self.name}: {value!r} is not one of {', '.join(self.choices)}.")
            return str(value)
        if self.kind == "bool":
            return bool(value) if value in (True, False) else self.parse(value)
        try:
            value = float(value)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"{self.name}: {value!r} is not a number.") from error
        low = -float("inf") if self.min is None else self.min
        high = float("inf") if self.max is None else self.max
        if not low - 1e-9 <= value <= high + 1e-9:
            shown, lowest, highest = (f"{self.shown(v):g}" for v in (value, low, high))
            if self.kind == "sigma":
                shown, highest = f"{shown} of 255 ({value:g} in image units)", f"{highest} of 255"
            raise ParameterError(f"{self.name} is {shown}; it must lie between {lowest} and {highest}.")
        if self.kind == "int" and not value.is_integer():
            raise ParameterError(f"{self.name} is {value:g}; it must be a whole number.")
        return int(value) if self.kind == "int" else value


SIGMA = Param(
    name="sigma",
    title="Noise level",
    kind="sigma",
    unit="of 255",
    min=0.0,
    max=100 / 255,
    step=0.5 / 255,
    help="Standard deviation of the noise. Left on automatic, it is estimated from the picture.",
)
STRENGTH = Param(
    name="strength",
    title="Strength",
    default=1.0,
    min=0.0,
    max=3.0,
    step=0.05,
    help="Multiplies the noise level: below 1 keeps more grain and detail, above 1 smooths more.",
)
SEED = Param(
    name="seed",
    title="Seed",
    kind="int",
    default=0,
    min=0,
    max=9999,
    step=1,
    advanced=True,
    help="Starts whatever is drawn at random: the same seed gives the same picture.",
)


class DenoiserSpec(BaseModel):
    """What a method is: how it is called, cited, licensed, and what it can be asked for."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    family: Family
    year: int
    good_for: str
    trained_for: str
    citation: str
    code_licence: str = "Apache-2.0"
    weights_licence: str = ""
    random: bool = False
    needs_weights: bool = False
    trains: bool = False
    """Trains a network on the one picture it is given."""
    cost: float = 1.0
    """Seconds a megapixel on one modern CPU core, to the nearest power of three or so."""
    requires: str = ""
    """Name of a Python package that must be installed, if any."""
    params: tuple[Param, ...] = ()
    weights: tuple[str, ...] = ()
    """Tags of its weights, the default one first; read from the catalogue, not written in a method's file."""

    def resolve(self, given: dict) -> dict:
        """All parameters in library units: those given, checked, and the defaults of the others."""
        known = {p.name: p for p in self.params}
        for name in given:
            if name not in known:
                raise ParameterError(f"{self.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}.")
        return {name: p.check(given.get(name, p.default)) for name, p in known.items()}
