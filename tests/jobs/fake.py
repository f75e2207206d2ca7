"""A job kind that is quick: it counts, checkpoints like a training, and can fail
at a step, or, at a negative one, be killed. And programs that supervise it.

``python fake.py count RUN STEPS FAIL_AT``: the job. ``python fake.py serve ROOT CPU``: a supervisor process.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()
STEP = 0.01  # seconds
STARTED = []  # supervisors


def count(run: Path, steps: int, fail_at: int):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    checkpoint, step = run / "checkpoint", 0
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
        assert len(state["weights"]) == 10_000 and state["whole"], "half a file"
        step = state["step"]
    with (run / "events.jsonl").open("a", buffering=1) as events:

        def tell(event, **facts):
            events.write(json.dumps({"event": event, "time": time.time(), "step": step, **facts}) + "\n")

        tell("start", pid=os.getpid())
        while step < steps and not stopped:
            time.sleep(STEP)
            step += 1
            if step == -fail_at:
                os.kill(os.getpid(), signal.SIGKILL)
            part = run / "checkpoint.part"
            with part.open("w") as file:
                file.write(json.dumps({"weights": "w" * 10_000, "step": step, "whole": True}))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, checkpoint)
            tell("train", progress=step / steps, seconds=step * STEP, pictures_per_second=1 / STEP)
            if step == fail_at:
                sys.exit("error: The loss became nan.")
        tell("end", reason="stopped" if stopped and step < steps else "finished")


def register():
    """Make the kind known in this process."""
    sys.path.insert(0, str(HERE.parents[2]))
    from denoisers.jobs import kinds

    class Count(kinds.Kind):
        steps: int = 10
        fail_at: int = 0

        @property
        def title(self):
            return f"Count to {self.steps}"

        def check(self, settings):
            return self

        def command(self, run, device, gpus):
            return ["fake", "count", str(run), str(self.steps), str(self.fail_at)]

    kinds.KINDS["count"] = Count
    os.environ["PYTHONPATH"] = str(HERE.parent)  # for `python -m fake`


def serve(root: Path, cpu: int):
    import threading

    register()
    from denoisers.jobs.settings import Settings
    from denoisers.jobs.supervisor import Supervisor

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Supervisor(Settings(root, who="everyone", cpu=cpu), tick=0.02, grace=2).serve(stop)


def start_supervisor(root, cpu=1) -> subprocess.Popen:
    STARTED.append(subprocess.Popen([sys.executable, HERE, "serve", str(root), str(cpu)]))
    return STARTED[-1]


if __name__ == "__main__":
    if sys.argv[1] == "count":
        count(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
