"""Noise: how it is made, and how much of it is in a picture."""

from .estimate import describe_noise, estimate_sigma
from .models import add_noise

__all__ = ["add_noise", "describe_noise", "estimate_sigma"]
