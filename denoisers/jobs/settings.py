"""Who may start jobs here, what they may read, and how much they may take: the settings of an installation.

Environment variables, read once when the program starts:

    GRAINWISE_JOBS              who may start jobs: off; local (visitors from this machine, the default; behind a proxy
                                everyone looks local, so use signed-in there); everyone; signed-in
    GRAINWISE_JOBS_DIR          where jobs are kept, default: jobs in GRAINWISE_DATA, or data/jobs
    GRAINWISE_JOBS_FOLDERS      folders on the server that jobs may read, with all below them; separated by ":" as in
                                PATH; default none: uploads only
    GRAINWISE_JOBS_CPU          jobs at a time on the CPU, default 1
    GRAINWISE_JOBS_GPUS         GPUs for jobs, one job each: "0,1"; empty for none; default: all that nvidia-smi lists
    GRAINWISE_JOBS_PER_USER     unfinished jobs a user, default 20
    GRAINWISE_JOBS_HOURS        running time of a job, default 24
    GRAINWISE_JOBS_GB           disk for the jobs and uploads of all users together, default 50
    GRAINWISE_JOBS_RAY          address of a Ray cluster, http://HOST:8265; jobs then go there. Needs
                                requirements-ray.txt; see ray.py for what the cluster needs
    GRAINWISE_JOBS_RAY_PYTHON   the Python that runs Grainwise on the cluster, default: the path of this one
    GRAINWISE_JOBS_RAY_GPUS     GPUs that a job asks the cluster for where it does not say how many, default 0
"""

import functools
import ipaddress
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .store import JobError

WHO = ("off", "local", "everyone", "signed-in")


class NotAllowed(JobError):
    """This installation does not let this visitor do that."""


@dataclass(frozen=True)
class Visitor:
    """Who asks: ``user`` is the name they signed in with, ``address`` where their browser is; both may be unknown."""

    user: str | None = None
    address: str | None = None

    @property
    def local(self) -> bool:
        """Whether the browser runs on this machine. An unknown address does not count as one."""
        try:
            address = ipaddress.ip_address(self.address or "")
            # A server of both protocols sees 127.0.0.1 as ::ffff:127.0.0.1: no loopback to Python before 3.13.
            return (getattr(address, "ipv4_mapped", None) or address).is_loopback
        except ValueError:
            return self.address == "localhost"


@dataclass(frozen=True)
class Settings:
    """See the module for what each means."""

    root: Path
    who: str = "local"
    folders: tuple[Path, ...] = ()
    cpu: int = 1
    gpus: tuple[str, ...] = ()
    per_user: int = 20
    hours: float = 24
    gigabytes: float = 50
    ray: str = ""
    ray_python: str = sys.executable
    ray_gpus: int = 0

    def __post_init__(self):
        if self.who not in WHO:
            raise JobError(f"GRAINWISE_JOBS is {self.who!r}; it must be one of {', '.join(WHO)}.")

    @property
    def executor(self) -> str:
        return "ray" if self.ray else "local"

    @property
    def uploads(self) -> Path:
        """Where uploaded data lie, unpacked, a folder each."""
        return self.root / "uploads"

    def admit(self, visitor: Visitor):
        """NotAllowed unless this visitor may start and change jobs."""
        if self.who == "off":
            raise NotAllowed("Jobs are switched off here. The setting GRAINWISE_JOBS allows them.")
        if self.who == "local" and not visitor.local:
            raise NotAllowed(
                "Jobs can only be started from the machine that this runs on. The setting GRAINWISE_JOBS allows more."
            )
        if self.who == "signed-in" and not visitor.user:
            raise NotAllowed("Sign in to start jobs.")

    def confine(self, path) -> Path:
        """The real path of a file or folder that jobs may read, links and ".." resolved.

        NotAllowed: it, or something it links to, lies outside the allowed folders, or it does not exist. Both read
        the same, so that nobody learns what lies elsewhere on the disk.
        """
        real = Path(path).resolve()
        uploads = self.uploads.resolve()
        roots = [uploads, *(root.resolve() for root in self.folders)]

        def inside(path):
            # All uploads together are nobody's to read; one of them is, for those who know its name.
            return path != uploads and any(path.is_relative_to(root) for root in roots)

        if not inside(real) or not real.exists():
            listed = ", ".join(map(str, self.folders)) or "none but uploads"
            raise NotAllowed(f"{path} is not there, or not in the folders that jobs may read: {listed}.")
        seen, pending = {real}, [real]
        while pending:
            for folder, folders, files in os.walk(pending.pop()):
                for entry in (Path(folder) / name for name in (*folders, *files)):
                    if entry.is_symlink():
                        target = entry.resolve()
                        if not inside(target):
                            raise NotAllowed(f"{entry} links to a place outside the folders that jobs may read.")
                        if target not in seen:
                            seen.add(target)
                            pending.append(target)
        return real


def installed_gpus() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    words = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    return subprocess.run(words, capture_output=True, text=True).stdout.split()


@functools.cache
def from_environment() -> Settings:
    def value(name, default):
        return os.environ.get(f"GRAINWISE_JOBS{name}", default)

    gpus = value("_GPUS", None)
    try:
        return Settings(
            root=Path(value("_DIR", Path(os.environ.get("GRAINWISE_DATA") or "data") / "jobs")).resolve(),
            who=value("", "local"),
            folders=tuple(Path(p).resolve() for p in value("_FOLDERS", "").split(os.pathsep) if p),
            cpu=int(value("_CPU", 1)),
            gpus=tuple(installed_gpus() if gpus is None else gpus.replace(",", " ").split()),
            per_user=int(value("_PER_USER", 20)),
            hours=float(value("_HOURS", 24)),
            gigabytes=float(value("_GB", 50)),
            ray=value("_RAY", ""),
            ray_python=value("_RAY_PYTHON", sys.executable),
            ray_gpus=int(value("_RAY_GPUS", 0)),
        )
    except ValueError as error:
        raise JobError(f"A GRAINWISE_JOBS setting is not a number: {error}.") from error


def size(folder) -> int:
    """Bytes of the files below a folder."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # a checkpoint's part that has just taken its place
                continue
    return total
