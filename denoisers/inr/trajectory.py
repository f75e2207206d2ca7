"""What a fit leaves behind: its curves, and the outputs it had on the way."""

import csv
import io
from dataclasses import dataclass, field, fields

import numpy as np

KEPT_BYTES = 256e6
"""Memory that the outputs of one fit may take; when they would take more, one between close neighbours is let go."""


def thin(kept: dict):
    """Let go of what lies between the closest neighbours among iterations: log-spaced they stay."""
    first, *between, last = kept
    gaps = np.array([*between, last][1:]) / np.array([first, *between][:-1])
    del kept[between[int(np.argmin(gaps))]]


@dataclass
class Trajectory:
    """The course of a fit. Errors are mean squares in image units, [0, 1]; iterations count from 1.

    Attributes:
        loss: of each iteration's batch, before its step.
        probed, held_out: iterations, and the error of the held-out pixels after them.
        probes: the outputs at the held-out pixels after these iterations, P x C float16 each.
        kept, mse, psnr: iterations whose whole output was looked at, its error to the noisy picture, and its PSNR
            to the clean one (empty without one).
        residual: noise level of what each of these takes away, if the fit was asked to look (else empty).
        outputs: iteration -> H x W x C float16, not clipped, for those of ``kept`` that fit into memory.
    """

    loss: list[float] = field(default_factory=list)
    probed: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    probes: list[np.ndarray] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    outputs: dict[int, np.ndarray] = field(default_factory=dict)

    def keep(
        self,
        iteration: int,
        output: np.ndarray,
        mse: float,
        psnr: float | None = None,
        residual: float | None = None,
    ):
        self.kept.append(iteration)
        self.mse.append(mse)
        if psnr is not None:
            self.psnr.append(psnr)
        if residual is not None:
            self.residual.append(residual)
        self.outputs[iteration] = output.astype(np.float16)
        if len(self.outputs) * self.outputs[iteration].nbytes > KEPT_BYTES and len(self.outputs) > 2:
            thin(self.outputs)

    def copy(self) -> "Trajectory":
        """As it is now, for another thread to look at while a fit adds to this one."""
        copies = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        return Trajectory(**copies)

    def nearest(self, iteration: int) -> int:
        """The iteration nearest to one, on the scale of logarithms, whose output is kept."""
        return min(self.outputs, key=lambda kept: abs(np.log(kept / iteration)))

    def output(self, iteration: int) -> np.ndarray:
        """The output kept nearest to an iteration; H x W x C float32 in [0, 1]."""
        return np.clip(self.outputs[self.nearest(iteration)].astype(np.float32), 0, 1)

    def curves(self) -> dict[str, tuple[list, list]]:
        """Name -> (iterations, values): ``loss``, ``held_out``, ``mse``, and ``psnr`` and ``residual`` if there are."""
        curves = {
            "loss": (list(range(1, len(self.loss) + 1)), self.loss),
            "held_out": (self.probed, self.held_out),
            "mse": (self.kept, self.mse),
        }
        some = {"psnr": self.psnr, "residual": self.residual}
        return curves | {name: (self.kept, values) for name, values in some.items() if values}

    def csv(self) -> str:
        """The curves as a table: a row an iteration, a column a curve, empty where it was not measured."""
        curves = {name: dict(zip(*curve, strict=True)) for name, curve in self.curves().items()}
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["iteration", *curves])
        for iteration in range(1, len(self.loss) + 1):
            table.writerow([iteration, *(curve.get(iteration, "") for curve in curves.values())])
        return text.getvalue()

    def npz(self) -> bytes:
        """All of it as an NPZ file: ``outputs``, K x H x W x C float16, after ``iterations``; the rest by its name.

        Not compressed: noise hardly gets smaller. ``read`` is the way back.
        """
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays["iterations"], arrays["outputs"] = list(self.outputs), list(self.outputs.values())
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def read(cls, file) -> "Trajectory":
        """From what ``npz`` gives; ``file`` is its path, or a file object."""
        with np.load(file) as arrays:
            iterations, outputs, probes = (arrays[name] for name in ("iterations", "outputs", "probes"))
            lists = {f.name: arrays[f.name].tolist() for f in fields(cls) if f.name not in ("outputs", "probes")}
        return cls(**lists, probes=list(probes), outputs=dict(zip(iterations.tolist(), outputs, strict=True)))
