"""A user's own weight file: what network it belongs to is read off the names and shapes of its tensors.

Files are safetensors, or PyTorch's .pth, .pt and .ckpt read with ``weights_only``, which runs no code of theirs.
Networks that we lack come through spandrel (DnCNN, DRUNet as published, SCUNet, NAFNet, SwinIR, ...).
"""

import functools
import hashlib
import io
from contextlib import contextmanager
from pathlib import Path

from .errors import WeightsError

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
WRAPPERS = ("average", "params_ema", "params", "state_dict", "model_state_dict", "model", "network")
"""Keys under which training programs put the tensors, the averaged ones first."""


def is_file(weights) -> bool:
    """Whether ``weights`` names a file rather than a tag of the catalogue."""
    return weights is not None and Path(weights).suffix.lower() in SUFFIXES


@contextmanager
def readable(path):
    try:
        yield Path(path)
    except OSError as error:
        raise WeightsError(f"The weight file {Path(path).name} cannot be read: {error.strerror}.") from error


def read_bytes(path) -> bytes:
    with readable(path) as file:
        return file.read_bytes()


def fingerprint(path) -> str:
    """SHA-256 of a weight file, which is read again only when it has changed."""
    with readable(path) as file:
        facts = file.stat()
    return _hashed(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=256)
def _hashed(path, *_changed) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_tensors(path) -> dict:
    """The tensors of a weight file by name, float32; WeightsError says why there are none."""
    import pickle

    import torch
    from safetensors.torch import load

    path, data = Path(path), read_bytes(path)
    try:
        if path.suffix.lower() == ".safetensors":
            state = load(data)
        else:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # decoders raise nearly everything on damaged files
        if isinstance(error, pickle.UnpicklingError) and "unsupported global" in str(error).lower():
            raise WeightsError(
                f"{path.name} holds more than tensors, and is not opened: such a file can run any program. "
                "Ask its author for safetensors, or for a plain state dict."
            ) from error
        raise WeightsError(f"{path.name} is no weight file, or it is damaged.") from error
    wrapper = next((w for w in WRAPPERS if isinstance(state, dict) and isinstance(state.get(w), dict)), None)
    state = state[wrapper] if wrapper else state
    named = isinstance(state, dict) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    )
    if not named or not state:
        raise WeightsError(f"{path.name} holds no table of tensors by name (a state dict).")
    for name, value in state.items():
        if value.is_meta or value.untyped_storage().nbytes() < value.numel() * value.element_size():
            raise WeightsError(f"{path.name} is no whole weight file: it lacks most of the values of {name}.")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def origin(path) -> dict[str, str]:
    """What a training of ours wrote into its file: ``noise``, the kind that was learned, and ``start``, the weights of
    the catalogue that it began with. Empty for other files."""
    from safetensors import safe_open

    if Path(path).suffix.lower() != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return {k: v for k, v in (file.metadata() or {}).items() if k in ("noise", "start")}


class Shapes(dict):
    """Shapes of a state dict by name."""

    def length(self, prefix: str) -> int:
        """How many modules a list has: 3 if there are keys PREFIX.0.x, PREFIX.1.x and PREFIX.2.x."""
        return len({name[len(prefix) + 1 :].split(".")[0] for name in self if name.startswith(prefix + ".")})


def adnet(s):
    colours, width = s["conv1_16.weight"][:2]
    return {"colours": colours, "width": width}


def drunet(s):
    downs = s.length("down")
    blocks = s.length("body")
    widths = [s["head.weight"][0], *(s[f"down.{i}.{blocks}.weight"][0] for i in range(downs))]
    return {"colours": s["tail.weight"][0], "widths": widths, "blocks": blocks}


def invdn(s):
    haar = [i for i in range(s.length("operations")) if f"operations.{i}.haar_weights" in s]
    ends = [*haar[1:], s.length("operations")]
    blocks = [end - start - 1 for start, end in zip(haar, ends, strict=True)]
    width = s["operations.1.F.conv1.weight"][0]
    return {"colours": s["operations.0.haar_weights"][0] // 4, "blocks": blocks, "width": width}


def mwcnn(s):
    levels, convs = s.length("contracting"), s.length("contracting.0")
    widths = [s[f"contracting.{i}.0.0.weight"][0] for i in range(levels)] + [s["bottom.0.0.weight"][0]]
    return {"colours": s["contracting.0.0.0.weight"][1] // 4, "widths": widths, "convs": convs}


def noise2noise_unet(s):
    return {"colours": s["dec_conv1.weight"][0], "width": s["enc_conv0.0.weight"][0]}


def noise2same_unet(s):
    return {"colours": s["tail.weight"][0], "width": s["head.weight"][0]}


def pridnet(s):
    unet = "pyramid.0."
    widths = [s[unet + "head.0.0.weight"][0]]
    widths += [s[f"{unet}down.{i}.0.0.weight"][0] for i in range(s.length(unet + "down"))]
    return {"colours": s["tail.weight"][0], "features": s["estimation.0.0.weight"][0], "widths": widths}


def rednet(s):
    width, colours = s["encoder.0.weight"][:2]
    stride = 1 if s["tail.weight"][0] == colours else 2
    return {"colours": colours, "width": width, "layers": 2 * s.length("encoder"), "stride": stride}


ARGUMENTS = {f.__name__: f for f in (adnet, drunet, invdn, mwcnn, noise2noise_unet, noise2same_unet, pridnet, rednet)}
"""Our architectures: each function reads a network's arguments off the shapes of its tensors."""


def detect(state: dict):
    """(architecture, network) of ``denoisers.networks`` with these tensors; None if they belong to none of them.

    ADNet's published files, and they alone, begin their keys with "module." and want blue, green, red.
    """
    import torch

    from .networks import build

    bare = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    shapes = Shapes({name: tuple(tensor.shape) for name, tensor in bare.items()})
    for architecture, arguments in ARGUMENTS.items():
        try:
            given = arguments(shapes)
            with torch.device("meta"):  # names and shapes must fit before any memory is taken
                build(architecture, **given).load_state_dict(bare, strict=True, assign=True)
            network = build(architecture, **given)
            network.load_state_dict(bare, strict=True)
        except (KeyError, IndexError, ValueError, ArithmeticError, RuntimeError):
            continue  # not this one
        if architecture == "adnet":
            network.bgr = bare.keys() != state.keys()
        return architecture, network
    return None


def through_spandrel(state: dict, file: str):
    """The network of a state dict as spandrel knows it, with our engine's manners; WeightsError if it does not."""
    from .engine import torchvision_guard  # noqa: F401, I001  spandrel imports torchvision, so this comes first
    from spandrel import ModelLoader

    from .networks.foreign import Foreign

    try:
        descriptor = ModelLoader().load_from_state_dict(state)
    except Exception as error:  # UnsupportedModelError, and whatever its architectures raise on shapes of another
        first = ", ".join(list(state)[:3])
        raise WeightsError(
            f"{file} belongs to no network that Grainwise or spandrel knows: its tensors are called {first}, ..."
        ) from error
    if descriptor.scale != 1 or descriptor.input_channels != descriptor.output_channels:
        raise WeightsError(f"{file} is a {descriptor.architecture.name} that enlarges or recolours; it cannot denoise.")
    return Foreign(descriptor)


METHODS = {"noise2noise_unet": ("noise2noise",), "noise2same_unet": ("noise2same", "noise2same_pro")}
"""Those of the architectures that do not bear their method's name."""


def methods(architecture: str) -> tuple[str, ...]:
    """The methods whose network has this architecture."""
    return METHODS.get(architecture, (architecture,))


def read(path, name: str | None = None):
    """A network from a user's file, for method ``name``; or for the method it belongs to.

    Returns (method name, network): one of ours if the tensors fit one of our architectures, else "own".
    Raises WeightsError: no weight file, damaged, more than tensors, a network unknown or another than ``name``'s.
    """
    path = Path(path)
    state = read_tensors(path)
    found = detect(state)
    if found:
        architecture, network = found
        fits = methods(architecture)
    else:
        network, fits = through_spandrel(state, path.name), ()
    if name not in (None, "own", *fits):
        raise WeightsError(f"{path.name} holds {network_title(network)}, not the network of {name}.")
    return name or (*fits, "own")[0], network


def network_title(network) -> str:
    return getattr(network, "title", type(network).__name__)
