"""Jobs as child processes of this machine, each in a process group of its own.

The child is a shell of a few lines around the job's command:

- it waits for a word before it starts the command. If the supervisor dies before its process number is on record,
  the word never comes and the child ends, so no process runs that nobody knows of;
- it survives the SIGTERM that the command is to hear, and keeps the command's exit status in the file ``exit``: a
  child outlives a supervisor that is killed, and the next one adopts it and still learns how it ended.

A process is known by its number and the moment it started, so that a number used again is not taken for the job.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ..weights import FOLDER
from .kinds import Kind

SHELL = """
read -r go || exit 75
exec </dev/null
trap : TERM INT
"$@"
code=$?
echo $code >exit.part && mv exit.part exit
exit $code
"""
MARK = "GRAINWISE_JOB"
"""Environment variable, the run folder, by which every process of a job is found, also in a session of its own."""


def birth(pid: int) -> str | None:
    """When a process started, in words that no other process of that number has; None if there is none, or only its
    exit status is left."""
    if sys.platform == "linux":
        try:
            facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if facts[0] in "ZX" else f"{boot} {facts[19]}"
    words = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() or None


def here(handle: dict) -> bool:
    """Whether the process on record, and no later one of its number, is there."""
    return handle["born"] is not None and birth(handle["pid"]) == handle["born"]


def family(run: Path, session: int | None = None) -> list[int]:
    """All processes of the job in ``run``, by their environment; and those of its shell's ``session`` that have none,
    as any process for a moment when it becomes another program. Linux tells; elsewhere the group must do."""
    found = []
    mark = f"{MARK}={run}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            environment = (folder / "environ").read_bytes()
            if mark in environment.split(b"\0") or (not environment and os.getsid(pid) == session and birth(pid)):
                found.append(pid)
        except OSError:  # gone, or someone else's
            continue
    return found


class Local:
    """Executor of this machine: ``cpu`` jobs at a time on the CPU, one a GPU."""

    def __init__(self, cpu: int, gpus: tuple[str, ...]):
        self.cpu, self.gpus = cpu, gpus
        self.children: dict[int, subprocess.Popen] = {}

    def slot(self, kind: Kind, taken: list[str]) -> str | None:
        """The part of the machine that a job can have: "cpu" or "gpu:0,1"; None while it must wait.

        ValueError, a sentence, if it would wait for ever.
        """
        wanted = min(1, len(self.gpus)) if kind.gpus is None else kind.gpus
        if wanted > len(self.gpus):
            raise ValueError(f"It needs {wanted} GPUs; jobs may use {len(self.gpus)} here.")
        if not wanted:
            return "cpu" if taken.count("cpu") < self.cpu else None
        busy = {gpu for slot in taken if slot != "cpu" for gpu in slot.removeprefix("gpu:").split(",")}
        free = [gpu for gpu in self.gpus if gpu not in busy]
        return f"gpu:{','.join(free[:wanted])}" if len(free) >= wanted else None

    def start(self, kind: Kind, run: Path, slot: str, attempt: int, register) -> None:
        """Start the command; ``register(handle)`` puts it on record before it does anything."""
        gpus = slot.removeprefix("gpu:").split(",") if slot != "cpu" else []
        command = [sys.executable, "-m", *kind.command(run, "cuda" if gpus else "auto", len(gpus))]
        threads = str(kind.threads)
        environment = os.environ | {MARK: str(run), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment |= {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "PYTHONUNBUFFERED": "1"}
        environment["GRAINWISE_WEIGHTS"] = str(FOLDER.resolve())  # a relative one is relative to where we are
        environment["PYTHONPATH"] = os.pathsep.join([str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
        (run / "exit").unlink(missing_ok=True)
        with (run / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", SHELL, "grainwise-job", *command],
                cwd=run,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                bufsize=0,
            )
        self.children = {pid: c for pid, c in self.children.items() if c.returncode is None} | {child.pid: child}
        with child.stdin, suppress(BrokenPipeError):  # killed already: the next look will tell
            register({"pid": child.pid, "born": birth(child.pid)})
            child.stdin.write(b"go\n")

    def alive(self, handle: dict, run: Path) -> bool:
        """Whether anything of it runs. What its shell left behind, when that was killed, is ended here."""
        child = self.children.get(handle["pid"])
        if child is not None:
            child.poll()
        if here(handle):
            return True
        strays = family(run, handle["pid"])
        for pid in strays:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(strays)

    def exit_status(self, handle: dict, run: Path) -> int | None:
        """Of a process that is gone: the command's exit status, negative for a signal; None if nobody saw it."""
        child = self.children.get(handle["pid"])
        try:
            code = int((run / "exit").read_text())
        except (FileNotFoundError, ValueError):  # the shell was killed, or the disk had no room for the file
            code = child.returncode if child is not None else None
        return 128 - code if code is not None and code > 128 else code

    def stop(self, handle: dict, run: Path, force: bool = False):
        """Ask every process of the job to save and exit; with ``force``, end it at once."""
        number = signal.SIGKILL if force else signal.SIGTERM
        with suppress(ProcessLookupError):
            if here(handle):
                os.killpg(handle["pid"], number)
        for pid in family(run, handle["pid"]):
            with suppress(ProcessLookupError):
                if os.getpgid(pid) != handle["pid"]:
                    os.kill(pid, number)


HOME = Path(__file__).parents[2]
"""Where the package ``denoisers`` lies."""
