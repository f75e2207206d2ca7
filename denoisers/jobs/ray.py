"""Jobs on a Ray cluster: the same command line, sent to Ray Jobs, which finds it a machine.

The cluster needs: Ray of the same version as here; Grainwise with its Python (GRAINWISE_JOBS_RAY_PYTHON), and the
folders of jobs and data, at the same paths on all its machines (a network disk). Two commands make one:

    RAY_AUTH_MODE=token ray start --head                        # prints the address; its dashboard is port 8265
    RAY_AUTH_MODE=token ray start --address=HEAD:6379           # on every other machine

with one RAY_AUTH_TOKEN on all machines, and for Grainwise. Never open port 8265 without a token: whoever reaches it
runs what he likes.

A Ray job ends with the machine or the cluster it runs on. The record of jobs is the store's, as ever: what vanished is
sent again and goes on from its checkpoint in the run folder. Ray is given one waiting job at a time; the others wait in
our queue, so that its order and priorities hold.
"""

import shlex
from pathlib import Path

from .kinds import Kind
from .local import HOME
from .store import Unavailable

STOP_WAIT = 30
"""Seconds that Ray gives a job to save and exit."""


class Ray:
    """Executor of the cluster whose dashboard is at ``address``. ``gpus``: asked for where a job does not say."""

    def __init__(self, address: str, python: str, gpus: int):
        self.address, self.python, self.gpus = address, python, gpus
        self.pending: set[str] = set()

    def client(self):
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError as error:
            raise Unavailable("It waits for Ray: install requirements-ray.txt.") from error
        try:
            return JobSubmissionClient(self.address)
        except Exception as error:  # Ray raises RuntimeError and ConnectionError, for a wrong token too
            raise Unavailable(f"It waits for the Ray cluster at {self.address}: {error}") from error

    def slot(self, kind: Kind, taken: list[str]) -> str | None:
        self.client()
        return None if self.pending else f"ray:{self.wanted(kind)} GPUs"

    def wanted(self, kind: Kind) -> int:
        return self.gpus if kind.gpus is None else kind.gpus

    def start(self, kind: Kind, run: Path, slot: str, attempt: int, register):
        gpus, threads = self.wanted(kind), str(kind.threads)
        command = [self.python, "-m", *kind.command(run, "cuda" if gpus else "cpu", gpus)]
        environment = {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment |= {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT)}
        handle = {"ray": f"{run.name}-{attempt}"}
        register(handle)
        self.client().submit_job(
            entrypoint=f"cd {shlex.quote(str(run))} && exec {shlex.join(command)} >>log.txt 2>&1",
            submission_id=handle["ray"],
            entrypoint_num_cpus=kind.threads,
            entrypoint_num_gpus=gpus,
            runtime_env={"env_vars": environment},
        )
        self.pending.add(handle["ray"])

    def info(self, handle: dict):
        """What Ray knows of a job; None if nothing, as after a restart of the cluster."""
        try:
            return self.client().get_job_info(handle["ray"])
        except RuntimeError as error:
            if "404" in str(error) or "does not exist" in str(error):
                return None
            raise

    def alive(self, handle: dict, run: Path) -> bool:
        info = self.info(handle)
        status = info.status if info is not None else "gone"
        self.pending = self.pending - {handle["ray"]} | ({handle["ray"]} if status == "PENDING" else set())
        return status in ("PENDING", "RUNNING")

    def exit_status(self, handle: dict, run: Path) -> int | None:
        """As of ``Local``. None also where the machine, not the command, failed."""
        info = self.info(handle)
        if info is not None and info.status in ("SUCCEEDED", "STOPPED"):
            return 0
        code = info.driver_exit_code if info is not None else None
        return 128 - code if code is not None and code > 128 else code

    def stop(self, handle: dict, run: Path, force: bool = False):
        """Ray asks, waits ``STOP_WAIT`` seconds, and ends it; ``force`` adds nothing to that."""
        if self.info(handle) is not None:
            self.client().stop_job(handle["ray"])
