"""How good is a result?"""

from .full_reference import PROTOCOL, psnr, ssim

__all__ = ["PROTOCOL", "psnr", "ssim"]
