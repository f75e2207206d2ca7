"""Nothing is lost: processes killed at random, and a full disk. What is shown afterwards is true."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake
import pytest
from job_helpers import processes

from denoisers.jobs import WrongState, kinds
from denoisers.jobs.store import ACTIVE

JOBS, CPU, SECONDS = 100, 4, 240


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.slow
def test_a_hundred_jobs_under_random_kills(settings, jobs):
    """Two supervisors and whatever they start are killed at random moments, apart and together, while a user pauses,
    resumes and cancels. In the end every job is done, or is cancelled because the user said so."""
    rng = random.Random(0)
    cancelled, paused = set(), set()
    added = [jobs.submit("count", {"steps": rng.randint(1, 20)}).id for _ in range(JOBS)]
    supervisors = [fake.start_supervisor(settings.root, CPU) for _ in range(2)]
    end, kills = time.monotonic() + SECONDS, 0
    while any(not job.finished for job in jobs.list()):
        assert time.monotonic() < end, [(job.id, job.state, job.reason) for job in jobs.list() if not job.finished]
        time.sleep(rng.uniform(0, 0.3))
        deeds = ["app", "job", "job", "both", "both", "all", "pause", "cancel"] if kills < 80 else ["wait"]
        what, running = rng.choice(deeds), processes(settings.root)
        if what in ("app", "both", "all"):
            for process in supervisors if what == "all" else [rng.choice(supervisors)]:
                process.kill()
                process.wait()
                kills += 1
        if what in ("job", "both") and running:  # its shell, or the command
            kill(rng.choice(running))
            kills += 1
        if what == "all":
            kills += len(running)
            for pid in running:
                kill(pid)
        supervisors = [p if p.poll() is None else fake.start_supervisor(settings.root, CPU) for p in supervisors]
        try:
            if what == "cancel" and len(cancelled) < 10:
                jobs.cancel(id := rng.choice(added))
                cancelled.add(id)
            elif what == "pause":
                jobs.pause(id := rng.choice(added))
                paused.add(id)
        except WrongState:
            pass
        for id in list(paused):
            if jobs.get(id).state == "paused":
                jobs.resume(id)
                paused.remove(id)
        for job in jobs.list():  # killed thrice without getting on is a truthful failure; the user tries again
            if job.state == "failed":
                assert "without getting on" in job.reason
                jobs.resume(job.id)
    for process in supervisors:
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)  # the latter: it had only just begun to start

    assert kills > 20 and not processes(settings.root)
    for id in added:
        job, run = jobs.get(id), jobs.folder(id)
        told = jobs.events(id)[0]
        if job.state == "cancelled":
            assert id in cancelled
        else:
            assert job.state == "done" and kinds.finished(run) and job.progress == 1
            assert told[-1]["step"] == job.spec["steps"]
        if (run / "checkpoint").exists():
            state = json.loads((run / "checkpoint").read_text())
            assert state["whole"] and len(state["weights"]) == 10_000
        assert not list(run.glob("*.part")) and not job.handle
        # Never two processes at a time on one job, and never a step back behind the checkpoint: every attempt begins
        # where the one before it ended, or a step beyond, if that was killed after it had saved and before it told.
        at = 0
        for event in told:
            assert event["step"] - at in {"start": (0, 1), "train": (1,), "end": (0,)}[event["event"]], told
            at = event["step"]
    assert not jobs.store.list(*ACTIVE)
    assert jobs.store.rows("PRAGMA integrity_check") == [("ok",)]


FULL = """
import os, shutil, subprocess, sys, threading, time
from pathlib import Path
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
sys.path.insert(0, sys.argv[2])
import fake
fake.register()
from denoisers.jobs import Jobs, Settings, Visitor, supervised, supervisor
supervisor.ROOM = 2_000_000  # of this small disk
settings = Settings(disk / "jobs", who="everyone")
jobs = Jobs(settings, Visitor())
job = jobs.submit("count", {"steps": 10_000})
def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, jobs.get(job.id)
        time.sleep(0.02)
with supervised(settings, tick=0.02, grace=2):
    until(lambda: jobs.status(job.id).progress > 0)
    ballast = (disk / "ballast").open("wb", buffering=0)
    try:
        while True:
            ballast.write(bytes(1000))
    except OSError:
        ballast.close()
    until(lambda: jobs.get(job.id).state == "failed")
    assert jobs.get(job.id).reason.startswith("The disk is full."), jobs.get(job.id)
    state = __import__("json").loads((jobs.folder(job.id) / "checkpoint").read_text())
    assert state["whole"] and 0 < state["step"] < 10_000
    (disk / "ballast").unlink()
    jobs.resume(job.id)
    until(lambda: any(e["event"] == "train" and e["step"] > state["step"] for e in jobs.events(job.id)[0]))
    jobs.cancel(job.id)
    until(lambda: jobs.get(job.id).state == "cancelled")
assert jobs.store.rows("PRAGMA integrity_check") == [("ok",)]
print("so it is")
"""


def test_a_full_disk_fails_the_job_and_keeps_its_checkpoint(tmp_path):
    """On a disk of 8 MB of our own, where the system lets us have one."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    script = tmp_path / "full.py"
    script.write_text(FULL)
    (tmp_path / "disk").mkdir()
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", tmp_path / "disk"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs Linux's user namespaces, for a small disk")
    here = Path(__file__).parent
    words = [*alone, sys.executable, script, tmp_path / "disk", here]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.stdout == "so it is\n", done.stderr
