"""torchvision, also beside a CPU-only torch: ``from ..engine.torchvision_guard import torchvision``.

The registry's torchvision is built for CUDA. Beside a CPU-only torch its compiled operators do not load, and its
import then fails because it describes two of them that torch has never heard of. Told their signatures, torch
accepts the description; the Python parts, such as the VGG networks, work.
"""

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms does not exist" not in str(error):
        raise
    torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.library.define("torchvision::qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
