"""Networks that are only there to judge the one in training: a discriminator, which learns beside it, and VGG19.

An objective that weighs their opinion gets them as keyword arguments, see ``objectives.invdn``.
"""

import inspect

import torch

from ..errors import ParameterError
from ..networks.discriminator import Discriminator
from . import losses
from .objectives import OBJECTIVES, supervised


class Critic:
    """A discriminator and its optimiser (Ledig et al., CVPR 2017): real crops from restored ones.

    ``kind``: "vanilla" or "lsgan", see ``losses.gan``. Crops are N x 3 x H x W in [0, 1].
    """

    def __init__(self, optimiser, kind: str, device):
        self.kind, self.clip = kind, optimiser.clip
        self.network = Discriminator().to(device)
        self.descent = torch.optim.AdamW(self.network.parameters(), lr=optimiser.lr, betas=optimiser.betas)

    def doubt(self, restored):
        """What restored crops lose by being told from real ones. They are kept for ``learn``."""
        self.restored = restored.detach()
        self.network.requires_grad_(False)
        return losses.gan(self.network(restored), real=True, kind=self.kind)

    def learn(self, clean, rate: float, mean):
        """One step of its own, after the network's; ``mean`` averages gradients over the processes."""
        self.network.requires_grad_(True)
        verdicts = (self.network(clean), True), (self.network(self.restored), False)
        self.descent.zero_grad(set_to_none=True)
        sum(losses.gan(score, real, self.kind) for score, real in verdicts).backward()
        mean([p.grad for p in self.network.parameters()])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        for group in self.descent.param_groups:
            group["lr"] = rate
        self.descent.step()

    def state_dict(self) -> dict:
        return {"network": self.network.state_dict(), "descent": self.descent.state_dict()}

    def load_state_dict(self, state: dict):
        self.network.load_state_dict(state["network"])
        self.descent.load_state_dict(state["descent"])


def taken(objective) -> list[str]:
    """The options of a recipe's objective, from the signature of what they are passed to."""
    function = OBJECTIVES[objective.name]
    if function is supervised:
        function = getattr(losses, objective.loss)
    names = [p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
    judges = {"critic": "gan_type", "features": "vgg"}
    return [judges.get(name, name) for name in names]


def arguments(recipe, device) -> dict:
    """Of a recipe's objective, by keyword: ``gan_type`` and ``vgg`` have become the networks that they ask for.

    Raises ParameterError: an option that the objective has not; a ``feature_weight`` without the weights of VGG19,
    which do not come with Grainwise.
    """
    options = dict(recipe.objective.options)
    known = taken(recipe.objective)
    for name in options:
        if name not in known:
            raise ParameterError(f"objective.options: there is no {name!r}; there is {', '.join(known) or 'none'}.")
    if recipe.objective.name in ("supervised", "noise2noise"):
        options["loss"] = recipe.objective.loss
    kind, vgg = options.pop("gan_type", "vanilla"), options.pop("vgg", None)
    if kind not in ("vanilla", "lsgan"):
        raise ParameterError(f"gan_type must be vanilla or lsgan, not {kind!r}.")
    if options.get("gan_weight"):
        options["critic"] = Critic(recipe.optimiser, kind, device)
    if options.get("feature_weight"):
        if not vgg:
            raise ParameterError("feature_weight needs vgg = FILE: the state dict of torchvision's vgg19.")
        from ..own_weights import read_tensors
        from .vgg import VGG19Features

        try:
            options["features"] = VGG19Features(read_tensors(vgg)).to(device)
        except RuntimeError as error:
            raise ParameterError(f"{vgg} is not the state dict of torchvision's vgg19.") from error
    return options
