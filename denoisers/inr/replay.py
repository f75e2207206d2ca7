"""An output of the INR Lab, made again from its recipe."""

import numpy as np

from ..errors import ParameterError
from ..images import to_float
from ..images.picture import window
from ..run import Run
from .fit import Fit
from .recipe import Recipe


def replay(image, facts: dict, device: str = "cpu", run: Run | None = None) -> np.ndarray:
    """The output that a recipe of the INR Lab names, by the same fit up to its iteration.

    Args:
        image: the whole noisy picture, H x W or H x W x C, float in [0, 1], uint8 or uint16.
        facts: the recipe's JSON. ``fit``, see ``Recipe``; ``growth`` of the iterations at which outputs are kept;
            ``ends`` that the fit was sent to, one after the other; ``iteration`` of the output, None for the last;
            ``crop`` of the picture (top, left, height, width), or None.

    Returns H x W x C float32 in [0, 1], the crop only where there is one. Raises ParameterError: no such recipe.
    """
    run = run or Run()
    try:
        recipe, growth, ends, crop = Recipe(**facts["fit"]), facts["growth"], facts["ends"], facts["crop"]
        iteration = facts["iteration"] or ends[-1]
        box = window(crop)
    except (KeyError, TypeError, IndexError) as error:
        raise ParameterError(f"This is no recipe of the INR Lab: {error} is wrong or missing.") from error
    fit = Fit(to_float(image)[box], recipe, growth=growth, device=device)
    for end in ends:
        for state in fit.steps(end, run):
            run.step(state.iteration / iteration)
            if state.iteration == iteration and state.mse is not None:
                return fit.trajectory.output(iteration)
    return fit.trajectory.output(iteration)
