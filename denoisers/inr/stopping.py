"""When to stop: rules that look at a trajectory and name an iteration. None of them fits anything anew."""

from typing import NamedTuple

import numpy as np

from ..errors import ParameterError

WINDOW = 8
"""Probes over which the outputs' variance is taken, and half as many over which the held-out error is averaged."""
SHARE = 0.94
"""Error to the noisy picture, in units of the noise's variance, at which a fit is best, about: by then the network has
learned some noise along with the picture. On camera noise, whose coarse part looks like picture, 0.93 to 0.95."""
PATIENCE = 1.5
"""A minimum counts as found when the fit has gone on to so many times its iteration, and WAIT further."""
WAIT = 12


class Stop(NamedTuple):
    """Where a rule stops a fit."""

    iteration: int
    fired: bool
    """Whether it is decided; else the best so far, and going on may change it."""


def variance(trajectory, sigma: float) -> Stop:
    """The first output whose mean squared error to the noisy picture is at or below the noise's variance.

    The paper's rule: sigma is in image units, estimated or given. Before that the last output.
    """
    below = np.flatnonzero(np.array(trajectory.mse) <= sigma**2)
    return Stop(trajectory.kept[below[0] if len(below) else -1], len(below) > 0)


def margin(trajectory, sigma: float) -> Stop:
    """``variance`` at SHARE of the noise's variance, a little later: right for camera noise and annealed fits."""
    return variance(trajectory, SHARE**0.5 * sigma)


def held_out(trajectory) -> Stop:
    """The least error at pixels that are not fitted: it rises when the noise around them is learned."""
    _need(trajectory)
    return _minimum(trajectory.probed, _smooth(np.array(trajectory.held_out), WINDOW // 2))


def es_wmv(trajectory) -> Stop:
    """The least variance of the outputs over a window of iterations, at the held-out pixels.

    ES-WMV: Wang, Li, Zhuang, Chen, Liang, Sun, "Early stopping for deep image prior", arXiv 2112.06074. Needs no sigma.
    """
    _need(trajectory)
    probes = np.stack(trajectory.probes).astype(np.float32).reshape(len(trajectory.probes), -1)
    window = min(WINDOW, len(probes))
    spread = [probes[i : i + window].var(0).mean() for i in range(len(probes) - window + 1)]
    return _minimum(trajectory.probed[: len(spread)], np.array(spread))


def fixed(trajectory, iteration: int) -> Stop:
    """A set iteration, or the last while that is not reached."""
    done = len(trajectory.loss)
    return Stop(min(iteration, done), done >= iteration)


def oracle(trajectory) -> Stop:
    """The output of the highest PSNR to the clean picture: what no rule can beat."""
    if not trajectory.psnr:
        raise ParameterError("The oracle needs a clean reference, and this fit was given none.")
    best = int(np.argmax(trajectory.psnr))
    return Stop(trajectory.kept[best], trajectory.kept[-1] >= PATIENCE * trajectory.kept[best])


def least(trajectory) -> Stop:
    """The output nearest to the noisy picture: the last good one of a fit that diverged."""
    return Stop(trajectory.kept[int(np.argmin(trajectory.mse))], True)


def stop(trajectory, rule: str, sigma: float | None = None, steps: int | None = None) -> Stop:
    """The rule of that name; ``variance`` and ``margin`` take sigma, ``fixed`` takes steps. Raises ParameterError."""
    if rule not in RULES:
        raise ParameterError(f"There is no stopping rule {rule!r}; there is {', '.join(RULES)}.")
    return RULES[rule](trajectory, *{"variance": [sigma], "margin": [sigma], "fixed": [steps]}.get(rule, []))


def _need(trajectory):
    if not trajectory.probes:
        raise ParameterError("This picture is too small to hold pixels out: stop by variance or after fixed steps.")


def _smooth(values, window):
    """Mean over a window around each value, a smaller one at the ends."""
    kernel = np.ones(min(window, len(values)))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def _minimum(iterations, values) -> Stop:
    best = iterations[int(np.argmin(values))]
    return Stop(best, iterations[-1] >= max(PATIENCE * best, best + WAIT))


RULES = {
    "variance": variance,
    "margin": margin,
    "held_out": held_out,
    "es_wmv": es_wmv,
    "fixed": fixed,
    "oracle": oracle,
}
