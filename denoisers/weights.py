"""Weight files: found in ``weights/catalogue.toml``, checked, loaded strictly, cached.

One entry a tag, named ``method.tag`` after timm. The SHA-256 is compared before anything is read.
"""

import functools
import hashlib
import os
import threading
import tomllib
import warnings
from collections import OrderedDict
from pathlib import Path

from . import own_weights
from .errors import WeightsError
from .registry import tags

FOLDER = Path(os.environ.get("GRAINWISE_WEIGHTS") or Path(__file__).parent.parent / "weights")
CACHE_BYTES = int(float(os.environ.get("GRAINWISE_MODEL_CACHE_MB") or 2000) * 1_000_000)


@functools.cache
def catalogue() -> dict[str, dict]:
    """What catalogue.toml says, by method and tag: ``catalogue()["drunet"]["awgn"]``."""
    path = FOLDER / "catalogue.toml"
    if not path.exists():
        warnings.warn(f"No network has weights: {path} is not there. See GRAINWISE_WEIGHTS.", stacklevel=1)
        return {}
    return tomllib.loads(path.read_text())


def entry(name: str, tag: str | None) -> tuple[str, dict]:
    """(tag, catalogue entry) of a method's weights; None is the first that the catalogue has."""
    have = tags(name)
    if tag not in have and (tag is not None or not have):
        if name == "own":
            raise WeightsError("A network of your own needs its weight file: name it as the weights.")
        said = f"no weights {name}.{tag}" if tag else f"no weights of {name}"
        raise WeightsError(f"There are {said}; the catalogue has {', '.join(have) or 'none of this method'}.")
    tag = tag or have[0]
    return tag, catalogue()[name][tag]


def fingerprint(name: str, weights: str) -> str:
    """SHA-256 of the file behind a tag, or of a user's own file."""
    if own_weights.is_file(weights):
        return own_weights.fingerprint(weights)
    return entry(name, weights)[1]["sha256"]


def read_network(name: str, weights: str, device: str):
    """A method's network with its weights, a tag or a user's own file, on ``device``, ready to run."""
    import torch

    from .engine.network import fold_norms, make_stoppable

    own = own_weights.is_file(weights)
    network = own_weights.read(weights, name)[1] if own else read_ours(name, weights)
    origin = own_weights.origin(weights) if own else {}
    file = fingerprint(name, weights)
    for tag, facts in catalogue().get(name, {}).items():
        # A copy of our file, under whatever name, is the same network; trained on with such noise, it is much the same.
        ours = facts["sha256"] == file
        if "discrepancy" in facts and (ours or origin == {"start": f"{name}.{tag}", "noise": "camera"}):
            network.discrepancy = facts["discrepancy"]
    fold_norms(network.eval())
    make_stoppable(network)
    return network.requires_grad_(False).to(device, memory_format=torch.channels_last)


def read_ours(name: str, tag: str):
    """The network of a catalogue entry."""
    from safetensors.torch import load

    from .networks import build

    tag, facts = entry(name, tag)
    path = FOLDER / facts["file"]
    if not path.exists():
        raise WeightsError(f"The weight file {facts['file']} of {name}.{tag} is missing from the weights folder.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise WeightsError(f"{facts['file']} is damaged: its SHA-256 is not the one in the catalogue. Fetch it again.")
    network = build(facts["architecture"], **facts["arguments"])
    network.load_state_dict({k: v.float() for k, v in load(data).items()}, strict=True)
    return network


class NetworkCache:
    """Networks by (name, SHA-256 of the weights, device), each loaded once.

    Above ``limit`` bytes the least recently used are dropped.
    """

    def __init__(self, limit: int = CACHE_BYTES):
        self.limit, self.networks, self.lock = limit, OrderedDict(), threading.Lock()
        self.loading: dict[tuple, threading.Lock] = {}

    def get(self, name: str, weights: str, device: str):
        key = (name, fingerprint(name, weights), device)
        with self.lock:
            gate = self.loading.setdefault(key, threading.Lock())
        with gate:  # two visitors who ask at once wait for one load
            with self.lock:
                if key in self.networks:
                    self.networks.move_to_end(key)
                    return self.networks[key][0]
            network = read_network(name, weights, device)
            size = sum(p.numel() * p.element_size() for p in network.state_dict().values())
            with self.lock:
                self.networks[key] = network, size
                while len(self.networks) > 1 and sum(s for _, s in self.networks.values()) > self.limit:
                    self.release(next(iter(self.networks)))
            return network

    def release(self, key):
        """Forget one network and give its GPU memory back; those still running with it finish undisturbed."""
        del self.networks[key]
        if key[2].startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


CACHE = NetworkCache()
