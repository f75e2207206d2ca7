"""Where and how precisely networks run here."""

import functools
import json
import os
import platform
import subprocess
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..errors import DenoiserError

PROBE = """
import sys, time, torch
torch.set_num_threads(1)
net = torch.nn.Sequential(*[torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(4)], torch.nn.Conv2d(64, 64, 1))
net = net.to(memory_format=torch.channels_last)
x = torch.rand(1, 64, 128, 128).contiguous(memory_format=torch.channels_last)
def seconds(bf16):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        net(x)
        began = time.perf_counter()
        for _ in range(3):
            net(x)
        seconds = time.perf_counter() - began
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = net(x).float().mean()
    loss.backward()
    return seconds
print("bfloat16" if seconds(True) < 0.8 * seconds(False) else "float32")
"""


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out. Only GPUs have a type for it: CPU and MPS raise a RuntimeError."""
    typed = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return typed or any(words in str(error) for words in ("allocate memory", "out of memory"))


@contextmanager
def memory_told(device: str, cure: str):
    """Within it memory that runs out is a DenoiserError, with what to do about it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise DenoiserError(f"There is too little memory left on {device} for this. {cure}") from error


def devices() -> list[str]:
    """The devices torch can use here, best first: "cuda:0", ..., "mps", "cpu"."""
    import torch

    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(device: str = "auto") -> str:
    """ "auto" -> the best device here; a name -> itself, if it is here."""
    available = devices()
    device = str(device)
    if device == "auto":
        return available[0]
    if device == "cuda" and available[0].startswith("cuda"):
        return available[0]
    if device not in available:
        raise DenoiserError(f"There is no device {device!r} here; there is {', '.join(available)}.")
    return device


@functools.cache
def cpu_precision() -> str:
    """ "bfloat16" where that is really faster on this CPU than float32, "float32" otherwise.

    CPU flags are not enough: on some virtual machines AMX is announced but its tile palette is hidden, bf16
    convolutions then run slower than float32 and some die with an illegal instruction, in training above all. So
    a child process tries both and times it, once a machine and torch version; the answer is kept in the user's
    cache folder.
    """
    from importlib.metadata import version

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "grainwise" / "cpu-precision.json"
    try:
        processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    except (OSError, StopIteration):
        processor = platform.processor()
    key = f"{platform.node()} {processor} torch {version('torch')}, trained"
    try:
        known = json.loads(cache.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        try:
            child = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:  # too busy to tell today
            return "float32"
        known[key] = child.stdout.strip() if child.returncode == 0 else "float32"
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            cache.write_text(json.dumps(known))
        except OSError:
            pass  # a read-only home costs the probe again next time, nothing else
    return known[key]


FLOAT32 = ContextVar("FLOAT32", default=False)


@contextmanager
def in_float32():
    """For the length of a with block, networks of this thread run in float32 everywhere: alike on all machines."""
    token = FLOAT32.set(True)
    try:
        yield
    finally:
        FLOAT32.reset(token)


def precision(device: str):
    """torch dtype for autocast on a device."""
    import torch

    if FLOAT32.get():
        return torch.float32
    if device == "cpu":
        return getattr(torch, cpu_precision())
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.float32
