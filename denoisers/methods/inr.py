"""INR: a network of sines learns the one noisy picture, and is stopped before it learns the noise.

"Zero-shot Blind Image Denoising via Implicit Neural Representations", arXiv 2204.02405: coordinate networks fit what is
smooth first, noise last and mostly in their last layers. So the fit stops when its squared error to the noisy picture
is down to the noise's variance, and the last two layers are held back by weight decay.

The paper's own settings are not known. ``book`` is the usual SIREN with its usual optimiser. ``fast`` gets as far
in a hundredth of the time: half as wide, a fiftieth of the pixels a step, Muon on the hidden matrices, the
averaged weights of a fixed schedule.
"""

import time
from dataclasses import replace
from itertools import product

import numpy as np

from ..engine.tiles import tile_starts, tiled
from ..spec import SEED, SIGMA, DenoiserSpec, Param
from .blend import BLEND, blend

SPEC = DenoiserSpec(
    name="inr",
    title="Implicit neural representation",
    family="zero-shot",
    year=2022,
    good_for="Watching a network learn a picture before its noise: needs no training. Faster methods remove more.",
    trained_for="Not trained beforehand. Learns coarse structure before fine, whatever is fine: noise or texture.",
    citation="Zero-shot blind image denoising via implicit neural representations. arXiv 2204.02405, 2022.",
    random=True,
    trains=True,
    cost=100,
    params=(
        Param(
            name="preset",
            title="Recipe",
            kind="choice",
            default="fast",
            choices=("fast", "book"),
            help="fast: a small network, few of the pixels a step. book: 256 wide, every pixel in every step, "
            "a hundred times slower. Whatever is left as the preset has it below follows from this.",
        ),
        BLEND,
        SIGMA.model_copy(
            update={
                "help": "Standard deviation of the noise, for stopping by variance. Left on automatic, it is "
                "estimated from the picture; 0 returns the picture."
            }
        ),
        Param(
            name="stop",
            title="Stop by",
            kind="choice",
            default="preset",
            choices=("preset", "variance", "margin", "held_out", "es_wmv", "fixed"),
            help="held_out: when pixels that are not fitted get worse. variance: when the error to the noisy picture "
            "is the noise's. margin: when it is 6 % less. es_wmv: when the output changes least. fixed: after all "
            "steps. preset: margin on camera noise; on even grain held_out if fast, variance by the book.",
        ),
        Param(
            name="steps",
            title="Steps",
            kind="int",
            min=10,
            max=20_000,
            step=10,
            help="How long the network learns, if nothing stops it before. Automatic: 400 if fast, 600 by the book.",
        ),
        Param(
            name="width",
            title="Width",
            kind="int",
            min=8,
            max=512,
            step=8,
            advanced=True,
            help="Channels of each layer: more can show more detail, and more noise. Automatic: 128, 256 by the book.",
        ),
        Param(
            name="depth",
            title="Hidden layers",
            kind="int",
            min=1,
            max=8,
            step=1,
            advanced=True,
            help="Sine layers after the first one. Automatic: 3.",
        ),
        Param(
            name="omega_first",
            title="Frequency of the first layer",
            min=1,
            max=200,
            step=1,
            advanced=True,
            help="How fine the first sines are: low blurs, high learns noise early. Automatic: 36, 30 by the book.",
        ),
        Param(
            name="omega_hidden",
            title="Frequency of the other layers",
            min=1,
            max=200,
            step=1,
            advanced=True,
            help="How strongly the other layers fold what the ones before them made. Automatic: 40, 30 by the book.",
        ),
        Param(
            name="optimiser",
            title="Optimiser",
            kind="choice",
            default="preset",
            choices=("preset", "adam", "muon"),
            advanced=True,
            help="muon makes steps of equal size in all directions of the hidden matrices; the rest has Adam.",
        ),
        Param(
            name="lr",
            title="Learning rate",
            min=1e-6,
            max=10.0,
            log=True,
            advanced=True,
            help="Size of a step: for Adam about 0.0001, for Muon about 0.05. Too large, and the fit diverges.",
        ),
        Param(
            name="batch",
            title="Pixels a step",
            kind="choice",
            default="preset",
            choices=("preset", "full", "lattice"),
            advanced=True,
            help="full: all of them. lattice: every n-th in both directions, another grid each step.",
        ),
        Param(
            name="decay",
            title="Decay of the last two layers",
            min=0.0,
            max=10.0,
            step=0.05,
            advanced=True,
            help="Pulls the weights that learn noise first towards zero. Automatic: 0.1.",
        ),
        Param(
            name="average",
            title="Average of",
            kind="choice",
            default="preset",
            choices=("preset", "weights", "outputs"),
            advanced=True,
            help="What is averaged over the last steps: the network's weights, or the pictures it gave.",
        ),
        Param(
            name="ema",
            title="Averaging",
            min=0.0,
            max=0.999,
            step=0.001,
            advanced=True,
            help="How much of the average stays from step to step; 0 takes the last. Automatic: 0.9, 0 by the book.",
        ),
        SEED,
    ),
)

WINDOW, MARGIN = 256, 16
"""Side of the window that one network learns, pixels, and how much of its rim counts for nothing. One network for
more than that learns less of each part in the same time."""
ENOUGH = 1000
"""Pixels of a picture of which some are held out to stop by."""
SPARSE = 20.0
"""Growth of the iteration between outputs that are kept only in case the fit diverges."""
DIVERGED = (
    "The fit of {n} of {all} parts diverged, the first at step {at}: a learning rate of {lr:g} is too large. What each "
    "had before is shown, the picture itself where that was nothing better."
)
PREVIEW = 100_000
"""Pixels of a preview, at most."""


def recipe_of(preset, seed, **settings):
    """The preset's Recipe with what differs from it; None and ``preset`` stand for what it has."""
    from ..inr import PRESETS

    return replace(PRESETS[preset], seed=seed, **{k: v for k, v in settings.items() if v not in (None, "preset")})


def automatic(preset, **_) -> dict:
    """What the parameters have that are left to the preset."""
    from ..inr import PRESETS

    return PRESETS[preset].as_dict()


def rule_of(stop, preset, noise, pixels):
    """The stopping rule that ``stop`` names. ``noise``: what ``describe_noise`` found in the picture.

    Held-out pixels say when noise is being learned only if their neighbours do not give it away: camera noise, which is
    correlated, they miss altogether, and the variance is all there is. Where the noise is independent they need no
    estimate, and are the better rule for the fast preset (benchmarks/inr_verdict.py).
    """
    if stop != "preset":
        return stop
    if noise.method == "camera":
        return "margin"
    if preset == "book":
        return "variance"
    return "held_out" if pixels > ENOUGH else "margin"


def one_colour(image):
    return np.ptp(image, axis=(0, 1)).max() == 0


def denoise(image, *, preset, strength, sigma, stop, seed, run, device="cpu", **settings):
    """A picture without noise (sigma 0, or one colour) comes back as it is.

    Returns the picture and extras: ``recipe``; ``stop``, the rule; ``noise``, the estimator that its kind calls for;
    ``iterations``, where it stopped, one a window; ``curves`` of the fit if one window was enough; ``notes``.
    """
    from .. import inr
    from ..noise import describe_noise

    recipe = recipe_of(preset, seed, **settings)
    if strength == 0 or sigma == 0 or one_colour(image):
        return image
    noise = describe_noise(image)
    rule = rule_of(stop, preset, noise, image[..., 0].size)
    target = {"variance": sigma**2, "margin": inr.SHARE * sigma**2, "fixed": 0.0}.get(rule)
    looks_back = target is None and recipe.average == "weights"
    corners = list(product(*(tile_starts(side, WINDOW, 4 * MARGIN) for side in image.shape[:2])))
    n = int(np.ceil((image[..., 0].size / PREVIEW) ** 0.5))
    growth = inr.GROWTH if target is None and not looks_back else SPARSE
    preview, iterations, diverged, curves = image[::n, ::n].copy(), [], [], {}
    due = time.monotonic() + 0.4

    def stopped(fit, state, run):
        """Whether the rule has fired. Those that know their error need no outputs: each loss tells, at no cost. Where
        the learning rate falls, a minimum is sure at the end alone: that lowers the error once more."""
        if target is None:
            return not recipe.anneal and state.held_out is not None and inr.stop(fit.trajectory, rule).fired
        if fit.recent_loss() > target or fit.iteration < 2:
            return False
        fit.keep(run)
        return True

    def fitted(window, part):
        nonlocal due
        done = len(iterations)
        top, left = corners[done]
        # one of its own, as each holds back what comes too soon after its last report: a preview shall not be lost
        pictures = run.part(done / len(corners), (done + 1) / len(corners))
        thin = np.s_[-top % n :: n, -left % n :: n]  # the window's pixels that are in the preview
        height, width, _ = window[thin].shape
        seen = preview[-(-top // n) :, -(-left // n) :][:height, :width]
        if one_colour(window):
            iterations.append(0)
            return window
        fit = inr.Fit(window, recipe, growth=growth, device=device)
        for state in fit.steps(run=part):
            if not fit.diverged and stopped(fit, state, part):
                break
            part.step(state.iteration / recipe.steps)
            if run.on_progress is not None and time.monotonic() > due:
                began = time.monotonic()
                seen[:] = fit.look(part, thin)
                pictures.step(state.iteration / recipe.steps, np.clip(preview, 0, 1))
                due = time.monotonic() + max(0.4, 10 * (time.monotonic() - began))
        past = fit.trajectory
        if fit.diverged:
            chosen = inr.least(past).iteration if past.mse and min(past.mse) < fit.constant else 0
            diverged.append(fit.iteration)
        else:
            chosen = past.kept[-1] if target is not None else inr.stop(past, rule).iteration
        iterations.append(chosen)
        curves.update(past.curves())
        if looks_back and not fit.diverged:
            answer = fit.recall(chosen, part)
        else:
            answer = past.output(chosen) if chosen else window
        seen[:] = answer[thin]
        return answer

    restored = tiled(image, fitted, run, tile=WINDOW, margin=MARGIN)
    notes = [DIVERGED.format(n=len(diverged), all=len(corners), at=diverged[0], lr=recipe.lr)] if diverged else []
    extras = {"recipe": recipe.as_dict(), "stop": rule, "noise": noise.method, "iterations": iterations, "notes": notes}
    return blend(image, restored, strength), extras | ({"curves": curves} if len(corners) == 1 else {})
