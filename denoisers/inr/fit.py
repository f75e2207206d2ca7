"""A network fitted to one noisy picture, step by step, while someone watches."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import Cancelled
from ..images import distinct_channels, to_float
from ..metrics import psnr
from ..noise import estimate_sigma
from ..run import Run
from .recipe import FAST, Recipe
from .trajectory import Trajectory, thin

CHUNK = 4096
"""Pixels that meet the network together: bounds memory, and the time to stop."""
PHASE, PHASES, FEW_UNTIL = 1024, 2, 0.6
"""Pixels of one phase of the lattice, at most; how many a step sees, and the part of a fit that does with one."""
SIDE = 256
"""Side of a picture that fills [-1, 1]; a smaller one fills less, so that its pixels are as far apart."""
HELD_OUT, MOST_HELD_OUT = 0.02, 4096
"""Part of the pixels that are never fitted, and how many at most."""
PROBE_EVERY, AVERAGE_EVERY = 8, 16
"""Iterations from one look at the held-out pixels to the next, and between outputs that are averaged."""
MEMORIES = 64
"""Probes whose weights are remembered, at most: 13 MB if fast."""
GROWTH = 1.1
"""An output is kept when the iteration is so many times that of the last one kept."""
ROUNDS = 3
"""Of Muon's quintic: as good here as five, and cheaper."""
ADAM_SLOWER = 100
"""Muon's learning rate over that of Adam on what is no hidden matrix."""
GRACE = 50
"""Iterations after which a fit has to be nearer to the picture than a constant is."""
RIPPLE = (10 / 255) ** 2
"""Squared error of a fit's start that says nothing, however flat the picture is."""


@dataclass(frozen=True)
class State:
    """Where a fit is after an iteration. Errors: mean squares in image units; None where not measured this time."""

    iteration: int
    loss: float
    """Of the batch, before the step."""
    held_out: float | None = None
    mse: float | None = None
    """Of the output, to the noisy picture; the output has now been kept."""
    psnr: float | None = None
    """Of the same output, to the clean picture if there is one; decibels."""


class Average:
    """Exponential mean of what is added, the plain mean while that is little; with ``decay`` 0 the last."""

    def __init__(self, decay: float, values):
        """``values``: tensors that shall hold the mean."""
        self.decay, self.values, self.count = decay, list(values), 0

    def add(self, values, iterations: int = 1):
        """Takes tensors that stand for so many ``iterations``."""
        self.count += iterations
        weight = max(1 - self.decay**iterations, iterations / self.count)
        for mean, value in zip(self.values, values, strict=True):
            mean.lerp_(value, weight)


class Fit:
    """A SIREN that learns one picture, and what its outputs were on the way.

    >>> from denoisers.inr import Fit, variance
    >>> fit = Fit(noisy)  # doctest: +SKIP
    >>> for state in fit.steps():  # leave the loop to pause, loop again to go on # doctest: +SKIP
    ...     print(state.iteration, state.loss)
    >>> stop = variance(fit.trajectory, sigma=25 / 255)  # doctest: +SKIP
    >>> denoised = fit.trajectory.output(stop.iteration)  # doctest: +SKIP

    Args:
        image: H x W or H x W x C, float in [0, 1], uint8 or uint16; may be as large as memory allows, but one
            network learns little of much more than 512 x 512.
        recipe: see ``Recipe``.
        reference: the clean picture, if there is one: the trajectory then has the PSNR of each output kept.
        growth: an output is kept when the iteration has grown by this factor, and at the end.
        residual: the noise estimator, see ``estimate_sigma``, that reads the level of what each kept output takes
            away from the picture; None does not look.

    Attributes: ``iteration``, how many are done; ``trajectory``; ``diverged``, whether the fit blew up, which ends it.
    """

    def __init__(
        self,
        image,
        recipe: Recipe = FAST,
        reference=None,
        growth: float = GROWTH,
        device: str = "cpu",
        residual: str | None = None,
    ):
        self.image, self.recipe, self.device, self.growth = to_float(image), recipe, device, growth
        self.residual = residual
        self.reference = None if reference is None else to_float(reference)
        self.restart()

    def restart(self):
        """Back to iteration 0, with an empty trajectory."""
        import torch

        from ..networks.siren import Siren

        seen = distinct_channels(self.image)
        recipe, (height, width, colours) = self.recipe, seen.shape
        self.iteration, self.diverged, self.trajectory, self.memory = 0, False, Trajectory(), {}
        self.unseen = False  # an iteration was done, but not all that is looked at after it
        self.rng = np.random.default_rng(recipe.seed)
        y, x = np.indices((height, width)).reshape(2, -1)
        places = np.stack([2 * x - width + 1, 2 * y - height + 1], 1) / (max(height, width, SIDE) - 1)
        self.places = self._tensor(places.astype(np.float32))
        self.target = self._tensor(2 * seen.reshape(-1, colours) - 1)
        self.constant = float(self.target.var(0, correction=0).mean()) / 4  # squared error of the best constant
        held_out = self.rng.permutation(len(x))[: min(round(HELD_OUT * len(x)), MOST_HELD_OUT)]
        self.held_out = self._tensor(held_out)
        n = 1 if recipe.batch == "full" else int(np.ceil((len(x) / PHASE) ** 0.5))
        phase = y % n * n + x % n
        phase[held_out] = -1
        batches = (np.flatnonzero(phase == k) for k in range(n * n))
        self.phases, self.queue = [self._tensor(batch) for batch in batches if len(batch)], []

        generator = torch.Generator().manual_seed(recipe.seed)
        self.network = Siren(
            colours, recipe.width, recipe.depth, recipe.omega_first, recipe.omega_hidden, generator
        ).to(self.device)
        with torch.no_grad():
            self.network.layers[-1].bias.copy_(self.target.mean(0))  # begins as the picture's mean colour
        self.decayed = [p for layer in self.network.layers[-2:] for p in layer.parameters()]
        self.optimisers = self._optimisers()
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        decay = {"weights": 0.0, "outputs": 0.0} | {recipe.average: recipe.ema}
        self.weights = Average(decay["weights"], self.averaged.parameters())
        self.outputs = Average(decay["outputs"], [torch.zeros_like(self.target)])
        self.probes = Average(decay["outputs"], [torch.zeros_like(self.target[self.held_out])])

    def steps(self, until: int | None = None, run: Run | None = None) -> Iterator[State]:
        """Fit up to iteration ``until``, the recipe's ``steps`` by default: one State an iteration.

        Leave the loop to pause, ask again to go on, further than at first if you like: the learning rate then falls
        towards the new end. Ends early when the fit diverges. Raises Cancelled, and may go on even then: what it was
        doing is done again.
        """
        until, run = until or self.recipe.steps, run or Run()
        while (self.iteration < until or self.unseen) and not self.diverged:
            if not self.unseen:
                self.trajectory.loss.append(self._step(until, run))
                self.unseen = True
            loss, last = self.trajectory.loss[-1], self.iteration == until
            self.diverged = self._diverges()
            if self.diverged:
                yield State(self.iteration, loss)
                return
            held_out = mse = score = None
            if (self.iteration % PROBE_EVERY == 1 or last) and self.trajectory.probed[-1:] != [self.iteration]:
                held_out = self._probe(run)
            if self.iteration >= self._next_kept() or last:
                mse, score = self.keep(run)
            elif self.outputs.decay and self.iteration % AVERAGE_EVERY == 0:
                self._average_outputs(run)
            self.unseen = False
            yield State(self.iteration, loss, held_out, mse, score)

    def keep(self, run: Run | None = None):
        """Take the present output into the trajectory. Returns its mean squared error, and its PSNR or None.

        One that is not finite is not taken, and gives two None: at its next step the fit diverges.
        """
        self._average_outputs(run or Run())
        output = self._picture(self.outputs.values[0].view(*self.image.shape[:2], -1))
        if not np.isfinite(output).all():
            return None, None
        mse = float(np.square(output - self.image).mean(dtype=np.float64))
        score = None if self.reference is None else psnr(output, self.reference)
        taken = self.image - np.clip(output, 0, 1)
        level = None if self.residual is None else estimate_sigma(taken, self.residual)
        self.trajectory.keep(self.iteration, output, mse, score, level)
        return mse, score

    def recall(self, iteration: int, run: Run | None = None) -> np.ndarray:
        """What the averaged weights gave at the probe nearest to an iteration, H x W x C float32 in [0, 1].

        For rules that know the best moment only when it is past: weights are a thousandth of an output's cost.
        """
        nearest = min(self.memory, key=lambda known: abs(np.log(known / iteration)))
        now = self._weights()
        self._set(self.memory[nearest])
        try:
            return np.clip(self.look(run), 0, 1)
        finally:
            self._set(now)

    def _weights(self):
        return [p.clone() for p in self.averaged.parameters()]

    def _set(self, weights):
        for p, value in zip(self.averaged.parameters(), weights, strict=True):
            p.copy_(value)

    def recent_loss(self) -> float:
        """Mean squared error of the batches that last saw every phase: by the full batch, of the last step."""
        return float(np.mean(self.trajectory.loss[-len(self.phases) :]))

    def look(self, run: Run | None = None, part=np.s_[:, :]) -> np.ndarray:
        """The present answer of the network (of its averaged weights), H x W x C float32.

        ``part`` slices rows and columns: what is left out costs nothing.
        """
        places = self.places.view(*self.image.shape[:2], 2)[part]
        answer = self._answer(places.reshape(-1, 2), run or Run())
        return self._picture(answer.view(*places.shape[:2], -1))

    def _tensor(self, array):
        import torch

        return torch.from_numpy(array).to(self.device)

    def _next_kept(self):
        kept = self.trajectory.kept
        return self.growth * kept[-1] if kept else 1

    def _picture(self, values):
        """H x W x C of the network's values, in as many channels as the picture has."""
        picture = (values.cpu().numpy() + 1) / 2
        return picture.repeat(self.image.shape[-1] // picture.shape[-1], -1)

    def _optimisers(self):
        """Pairs of an optimiser and its learning rate."""
        import torch

        from ..muon import Muon

        lr = self.recipe.lr
        if self.recipe.optimiser == "adam":
            return [(torch.optim.Adam(self.network.parameters(), fused=True), lr)]
        matrices = [layer.weight for layer in self.network.layers[1:-1]]
        rest = [p for p in self.network.parameters() if not any(p is m for m in matrices)]
        # the sines see omega times the weight, so a step of lr there is one of lr / omega here
        return [
            (Muon(matrices, lr, rounds=ROUNDS), lr / self.recipe.omega_hidden),
            (torch.optim.Adam(rest, fused=True), lr / ADAM_SLOWER),
        ]

    def _batch(self, progress):
        """The phases of the lattice that a step sees. Few are enough at first, when every step is large."""
        phases = []
        for _ in range(min(PHASES, len(self.phases)) if progress >= FEW_UNTIL else 1):
            if not self.queue:
                self.queue = [self.phases[k] for k in self.rng.permutation(len(self.phases))]
            phases.append(self.queue.pop())
        return phases

    def _step(self, until, run):
        import torch

        phases = self._batch(self.iteration / until)
        batch = torch.cat(phases)
        self.network.zero_grad()
        total, count = 0.0, batch.numel() * self.target.shape[1]
        for pixels in batch.split(CHUNK):
            try:
                run.poll()
            except Cancelled:
                self.queue += reversed(phases)
                raise
            error = (self.network(self.places[pixels]) - self.target[pixels]).square().sum() / count
            error.backward()
            total += error.item()
        for p in self.decayed:
            p.grad.add_(p.detach(), alpha=self.recipe.decay)
        left = (1 - self.iteration / until) / self.recipe.anneal if self.recipe.anneal else 1
        for optimiser, lr in self.optimisers:
            optimiser.param_groups[0]["lr"] = lr * min(left, 1)
            optimiser.step()
        self.weights.add([p.detach() for p in self.network.parameters()])
        self.iteration += 1
        return total / 4

    def _answer(self, places, run):
        """The averaged network at N x 2 places, chunk by chunk."""
        import torch

        answers = []
        with torch.inference_mode():
            for chunk in places.split(CHUNK):
                run.poll()
                answers.append(self.averaged(chunk))
        return torch.cat(answers)

    def _probe(self, run):
        past = self.trajectory
        if not len(self.held_out):
            return None
        self.probes.add([self._answer(self.places[self.held_out], run)], self.iteration - self.probes.count)
        answer = self.probes.values[0]
        past.probed.append(self.iteration)
        past.probes.append(answer.half().cpu().numpy())
        past.held_out.append(float((answer - self.target[self.held_out]).square().mean()) / 4)
        self.memory[self.iteration] = self._weights()
        if len(self.memory) > MEMORIES:
            thin(self.memory)
        return past.held_out[-1]

    def _average_outputs(self, run):
        self.outputs.add([self._answer(self.places, run)], self.iteration - self.outputs.count)

    def _diverges(self):
        """Whether the last epoch is much further from the picture than a constant would be."""
        error = self.recent_loss()
        return not np.isfinite(error) or (self.iteration > GRACE and error > 2 * max(self.constant, RIPPLE))
