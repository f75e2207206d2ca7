"""What a fit leaves behind: its curves, and the outputs it had on the way."""

import csv
import io
from dataclasses import dataclass, field

import numpy as np

KEPT_BYTES = 256e6
"""Memory that the outputs of one fit may take; when they would take more, one between close neighbours is let go."""


@dataclass
class Trajectory:
    """The course of a fit. Errors are mean squares in image units, [0, 1]; iterations count from 1.

    Attributes:
        loss: of each iteration's batch, before its step.
        probed, held_out: iterations, and the error of the held-out pixels after them.
        probes: the outputs at the held-out pixels after these iterations, P x C float16 each.
        kept, mse, psnr: iterations whose whole output was looked at, its error to the noisy picture, and its PSNR
            to the clean one (empty without one).
        outputs: iteration -> H x W x C float16, not clipped, for those of ``kept`` that fit into memory.
    """

    loss: list[float] = field(default_factory=list)
    probed: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    probes: list[np.ndarray] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    outputs: dict[int, np.ndarray] = field(default_factory=dict)

    def keep(self, iteration: int, output: np.ndarray, mse: float, psnr: float | None = None):
        self.kept.append(iteration)
        self.mse.append(mse)
        if psnr is not None:
            self.psnr.append(psnr)
        self.outputs[iteration] = output.astype(np.float16)
        if len(self.outputs) * self.outputs[iteration].nbytes > KEPT_BYTES and len(self.outputs) > 2:
            first, *between, last = self.outputs  # log-spaced they stay
            gaps = np.array([*between, last][1:]) / np.array([first, *between][:-1])
            del self.outputs[between[int(np.argmin(gaps))]]

    def output(self, iteration: int) -> np.ndarray:
        """The output kept nearest to an iteration; H x W x C float32 in [0, 1]."""
        nearest = min(self.outputs, key=lambda kept: abs(np.log(kept / iteration)))
        return np.clip(self.outputs[nearest].astype(np.float32), 0, 1)

    def curves(self) -> dict[str, tuple[list, list]]:
        """Name -> (iterations, values) of ``loss``, ``held_out``, ``mse`` and, with a clean reference, ``psnr``."""
        curves = {
            "loss": (list(range(1, len(self.loss) + 1)), self.loss),
            "held_out": (self.probed, self.held_out),
            "mse": (self.kept, self.mse),
        }
        return curves | ({"psnr": (self.kept, self.psnr)} if self.psnr else {})

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
        """The kept outputs, K x H x W x C float16, and their iterations: ``outputs`` and ``iterations`` of an NPZ."""
        file = io.BytesIO()
        np.savez_compressed(file, iterations=list(self.outputs), outputs=np.stack(list(self.outputs.values())))
        return file.getvalue()
