"""Noise: how it is made, and how much of it is in a picture."""

from .camera import CameraNoise, random_camera
from .estimate import describe_noise, estimate_sigma
from .fit import fit as fit_camera
from .models import add_noise

__all__ = ["CameraNoise", "add_noise", "describe_noise", "estimate_sigma", "fit_camera", "random_camera"]
