"""A Ray cluster for real: a head and other machines, all on this one. Needs requirements-ray.txt; `pytest -m ray`."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import uuid
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from job_helpers import eventually
from skimage import data as pictures

from denoisers import images
from denoisers.jobs import kinds, supervised
from denoisers.jobs.local import MARK, family

# Ray reads these once, when it is imported.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2}
pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.ray]

PORT, DASHBOARD, WAIT = 6399, 8299, 240
RAY = f"""
# `ray start`, which gives a node 30 seconds to appear: too few on a busy machine.
import time
from ray._private import services
from ray.scripts.scripts import main
look, end = services.get_node, time.monotonic() + {WAIT}
def patient(*words):
    while True:
        try:
            return look(*words)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
services.get_node = patient
main()
"""
RECIPE = tomllib.loads("""
title = "a test"
method = "drunet"
tag = "test"
network = { architecture = "drunet", widths = [8, 8], blocks = 1 }
data = { clean = ["clean"], crop = [32, 16], batch = 2 }
schedule = { steps = 1_000_000, warmup = 2, validate_every = 50 }
""")


class Machine:
    """One machine of the cluster: every process on it carries its name, so that it can be switched off."""

    def __init__(self, *words):
        self.name = Path(tempfile.mkdtemp(prefix="gw"))
        with (self.name / "log").open("w") as log:
            command = [sys.executable, "-c", RAY, "start", "--block", "--disable-usage-stats", *words]
            environment = os.environ | {MARK: str(self.name)}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        eventually(self.up, WAIT)

    def up(self):
        log = (self.name / "log").read_text()
        assert self.process.poll() is None, log
        return "Ray runtime started" in log

    def switch_off(self):
        while pids := family(self.name):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.process.wait()
        shutil.rmtree(self.name)


@pytest.fixture(scope="module")
def cluster():
    """The machines: a head without CPUs to give, and one that works."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_health_check_failure_threshold", "2")
    patch.setenv("RAY_worker_register_timeout_seconds", str(WAIT))
    patch.setenv("RAY_agent_register_timeout_ms", str(1000 * WAIT))
    head = ["--head", "--num-cpus=0", f"--port={PORT}", f"--dashboard-port={DASHBOARD}"]
    session = tempfile.mkdtemp(prefix="gwray")  # short: sockets lie in it
    machines = [Machine(*head, f"--temp-dir={session}")]
    eventually(lambda: answers(), WAIT)
    machines.append(worker())
    yield machines
    for machine in machines:
        machine.switch_off()
    shutil.rmtree(session)
    patch.undo()


def worker():
    return Machine(f"--address=127.0.0.1:{PORT}", "--num-cpus=1")


def answers():
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(f"http://127.0.0.1:{DASHBOARD}")
    except Exception:
        return None


@pytest.fixture
def settings(tmp_path, cluster):
    from denoisers.jobs import Settings

    folders, ray = (tmp_path / "data",), f"http://127.0.0.1:{DASHBOARD}"
    return Settings(tmp_path / "jobs", who="everyone", folders=folders, ray=ray)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "clean").mkdir(parents=True)
    for i in range(12):
        picture = pictures.astronaut()[96 * (i // 4) :, 96 * (i % 4) :][:96, :96] / 255
        images.write(tmp_path / "data" / "clean" / f"{i}.png", picture.astype(np.float32))
    return tmp_path / "data"


def state(jobs, job):
    job = jobs.get(job.id)
    assert job.state != "failed", job.reason + jobs.logs(job.id)[0]
    return job.state


def steps(jobs, job):
    return kinds.last(jobs.folder(job.id), "step").get("step", 0)


def test_a_training_and_a_batch_run_on_the_cluster(settings, jobs, folder):
    training = jobs.submit("train", {"recipe": RECIPE, "data": folder, "minutes": 0.05})
    batch = jobs.submit("batch", {"source": folder / "clean", "denoiser": "wavelet"})
    with supervised(settings, tick=0.3):
        eventually(lambda: state(jobs, training) == "done", WAIT)
        eventually(lambda: state(jobs, batch) == "done", WAIT)
    assert jobs.get(training.id).executor == "ray"
    assert (jobs.folder(training.id) / "average.safetensors").exists() and "attempt 1" in jobs.logs(training.id)[0]
    assert len(list((jobs.folder(batch.id) / "result").glob("*.png"))) == 12


def test_pause_a_machine_lost_and_cancel(settings, jobs, folder, cluster):
    job = jobs.submit("train", {"recipe": RECIPE, "data": folder})
    with supervised(settings, tick=0.3):
        eventually(lambda: steps(jobs, job) > 0, WAIT)
        jobs.pause(job.id)
        eventually(lambda: state(jobs, job) == "paused", WAIT)
        saved = steps(jobs, job)
        assert saved > 0 and kinds.last(jobs.folder(job.id), "event")["reason"] == "stopped"

        jobs.resume(job.id)
        eventually(lambda: steps(jobs, job) > saved, WAIT)
        cluster.pop().switch_off()
        eventually(lambda: jobs.get(job.id).attempts == 3, WAIT)
        cluster.append(worker())

        def resumed():
            starts = [event for event in jobs.events(job.id)[0] if event["event"] == "start"]
            return len(starts) == 3 and starts

        assert [start["step"] for start in eventually(resumed, WAIT)] == [0, saved, saved]
        eventually(lambda: steps(jobs, job) > saved, WAIT)
        jobs.cancel(job.id)
        eventually(lambda: state(jobs, job) == "cancelled", WAIT)
    assert kinds.last(jobs.folder(job.id), "event")["reason"] == "stopped"


def test_a_cluster_out_of_reach_is_waited_for(settings, jobs, folder):
    job = jobs.submit("batch", {"source": folder / "clean", "denoiser": "wavelet"})
    with supervised(replace(settings, ray="http://127.0.0.1:9"), tick=0.1):
        eventually(lambda: "waits for the Ray cluster" in jobs.get(job.id).reason, WAIT)
    assert state(jobs, job) == "queued"
    with pytest.raises(HTTPError, match="401|403"):  # without the token
        urlopen(f"{settings.ray}/api/jobs/")
