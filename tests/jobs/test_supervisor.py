"""Jobs that run, pause, stop, fail and are fought over, as child processes of this machine."""

import os
import shutil
import signal
import time
from dataclasses import replace

import fake
import pytest
from job_helpers import eventually, processes

from denoisers.jobs import JobError, kinds, supervised
from denoisers.jobs.local import Local, birth, family
from denoisers.jobs.store import ACTIVE


def state(jobs, job):
    return jobs.get(job.id).state


def step(jobs, job):
    """The last step told."""
    return max([event["step"] for event in jobs.events(job.id)[0]], default=0)


def test_a_job_runs_and_tells(jobs, supervisor):
    job = jobs.submit("count", {"steps": 10})
    eventually(lambda: state(jobs, job) == "done")
    status = jobs.status(job.id)
    assert status.progress == 1 and kinds.progress(jobs.folder(job.id))["pictures_per_second"] == 100
    assert status.job.attempts == 1 and status.job.handle is None and status.job.ran > 0 and status.job.reason == ""
    events, offset = jobs.events(job.id)
    assert [event["event"] for event in events] == ["start", *["train"] * 10, "end"]
    assert jobs.events(job.id, offset) == ([], offset)
    assert "attempt 1" in jobs.logs(job.id)[0]
    assert (jobs.folder(job.id) / "spec.json").exists()


def test_one_at_a_time_in_the_order_of_the_queue(settings, jobs):
    added = [jobs.submit("count", {"steps": 3}, priority=p) for p in (0, 0, 1)]
    jobs.reorder(added[1].id, 0)
    with supervised(settings, tick=0.02):
        eventually(lambda: all(state(jobs, job) == "done" for job in added))
    began = [jobs.get(job.id).started for job in added]
    assert began[1] < began[2] < began[0]
    assert jobs.get(added[1].id).started + jobs.get(added[1].id).ran <= began[2] + 0.5


def test_pause_and_resume_go_on_from_the_checkpoint(jobs, supervisor):
    job = jobs.submit("count", {"steps": 60})
    eventually(lambda: step(jobs, job) >= 5)
    jobs.pause(job.id)
    eventually(lambda: state(jobs, job) == "paused")
    at = step(jobs, job)
    assert not family(jobs.folder(job.id)) and 5 <= at < 60
    jobs.resume(job.id)
    eventually(lambda: state(jobs, job) == "done")
    steps = [event["step"] for event in jobs.events(job.id)[0] if event["event"] == "train"]
    assert steps == list(range(1, 61))
    assert jobs.get(job.id).attempts == 2


def test_cancel_ends_every_process(jobs, supervisor):
    job = jobs.submit("count", {"steps": 10_000})
    waiting = jobs.submit("count", {"steps": 10_000})
    eventually(lambda: step(jobs, job) >= 1)
    assert len(family(jobs.folder(job.id))) == 2
    jobs.cancel(waiting.id)
    assert state(jobs, waiting) == "cancelled"
    with pytest.raises(JobError, match="cancel it first"):
        jobs.delete(job.id)
    jobs.cancel(job.id)
    eventually(lambda: state(jobs, job) == "cancelled")
    run = jobs.folder(job.id)
    assert not family(run)
    jobs.delete(job.id)
    assert not run.exists() and [other.id for other in jobs.list()] == [waiting.id]
    shutil.rmtree(jobs.folder(waiting.id))  # by hand
    jobs.delete(waiting.id)
    assert jobs.list() == []


def test_a_job_that_does_not_listen_is_ended_after_the_grace(jobs, supervisor):
    job = jobs.submit("count", {"steps": 10_000})
    eventually(lambda: step(jobs, job) >= 1)
    os.kill(jobs.events(job.id)[0][0]["pid"], signal.SIGSTOP)
    jobs.cancel(job.id)
    eventually(lambda: state(jobs, job) == "cancelled")
    assert not family(jobs.folder(job.id))


def test_a_failure_is_a_sentence_and_can_be_tried_again(jobs, supervisor):
    job = jobs.submit("count", {"steps": 20, "fail_at": 7})
    eventually(lambda: state(jobs, job) == "failed")
    assert jobs.get(job.id).reason == "The loss became nan."
    jobs.resume(job.id)  # from step 7: it does not come by there again
    eventually(lambda: state(jobs, job) == "done")


def test_a_job_killed_again_and_again_without_getting_on_fails(jobs, supervisor):
    job = jobs.submit("count", {"steps": 10, "fail_at": -3})
    eventually(lambda: state(jobs, job) == "failed")
    job = jobs.get(job.id)
    assert "3 times in a row by signal 9 (Killed), without getting on" in job.reason
    assert job.attempts == 4 and job.progress == 0.2  # the first one did get on


def test_a_supervisor_closed_in_order_leaves_nothing_running_and_the_next_goes_on(settings, jobs):
    job = jobs.submit("count", {"steps": 100})
    with supervised(settings, tick=0.02):
        eventually(lambda: step(jobs, job) >= 5)
    assert state(jobs, job) == "queued" and not processes(settings.root)
    assert "goes on from its last checkpoint" in jobs.get(job.id).reason
    with supervised(settings, tick=0.02):
        eventually(lambda: state(jobs, job) == "done")
    steps = [event["step"] for event in jobs.events(job.id)[0] if event["event"] == "train"]
    assert steps == list(range(1, 101))


def test_a_supervisor_that_was_killed_leaves_children_to_the_next(settings, jobs):
    job = jobs.submit("count", {"steps": 150})
    first = fake.start_supervisor(settings.root)
    eventually(lambda: step(jobs, job) >= 5)
    first.kill()
    first.wait()
    running = family(jobs.folder(job.id))
    second = fake.start_supervisor(settings.root)
    eventually(lambda: jobs.get(job.id).heartbeat > 0 and state(jobs, job) == "done")
    assert running and jobs.get(job.id).attempts == 1
    second.terminate()
    assert second.wait(30) == 0


@pytest.mark.parametrize("steps", [5, 100_000])
def test_what_ended_while_nobody_watched_is_told_truly(settings, jobs, steps):
    """Finished meanwhile: done. Killed together with the app, as when the power fails: goes on."""
    job = jobs.submit("count", {"steps": steps})
    first = fake.start_supervisor(settings.root)
    eventually(lambda: step(jobs, job) >= 1)
    first.kill()
    first.wait()
    if steps > 5:
        for pid in family(jobs.folder(job.id)):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not family(jobs.folder(job.id)))
    assert state(jobs, job) in ACTIVE
    with supervised(settings, tick=0.02, grace=2):
        if steps == 5:
            eventually(lambda: state(jobs, job) == "done")
            assert jobs.get(job.id).attempts == 1
        else:
            eventually(lambda: state(jobs, job) == "running" and jobs.get(job.id).attempts == 2)


def test_a_process_number_used_again_is_not_taken_for_the_job(settings, jobs):
    job = jobs.submit("count", {"steps": 3})
    jobs.store.move(job.id, "running", handle={"pid": os.getpid(), "born": "another boot 17"}, slot="cpu", attempts=1)
    with supervised(settings, tick=0.02):
        eventually(lambda: state(jobs, job) == "done")  # and this process, whose number it was, lives
    assert jobs.get(job.id).attempts == 2


def test_a_child_without_a_record_never_starts(jobs, settings, tmp_path):
    """As if the supervisor died after it made the child and before it wrote down which."""
    kind = type("Touch", (), {"threads": 1, "command": lambda *_: ["fake", "count", str(tmp_path), "1", "0"]})()

    def die(handle):
        raise KeyboardInterrupt

    executor = Local(1, ())
    with pytest.raises(KeyboardInterrupt):
        executor.start(kind, tmp_path, "cpu", 1, die)
    (pid,) = executor.children
    assert executor.children[pid].wait(10) == 75
    assert not (tmp_path / "events.jsonl").exists() and birth(pid) is None


def test_a_process_without_an_environment_is_still_the_jobs(tmp_path):
    """As any has in the middle of an exec: the shell killed at that moment must not hide what it started."""
    kind = type("Bare", (), {"threads": 1, "command": lambda *_: ["bare"]})()
    (tmp_path / "bare.py").write_text("import os; os.execve('/bin/sleep', ['sleep', '60'], {})")
    executor, handles = Local(1, ()), []
    executor.start(kind, tmp_path, "cpu", 1, handles.append)
    (handle,) = handles

    def bare():
        return [pid for pid in family(tmp_path, handle["pid"]) if pid not in family(tmp_path)]

    (sleeper,) = eventually(bare)
    os.kill(handle["pid"], signal.SIGKILL)
    eventually(lambda: not executor.alive(handle, tmp_path))
    assert birth(sleeper) is None


def test_a_claimed_job_whose_supervisor_died_is_queued_again(settings, jobs):
    job = jobs.submit("count", {"steps": 3})
    jobs.store.move(job.id, "running", slot="cpu", attempts=1)
    with supervised(settings, tick=0.02):
        eventually(lambda: state(jobs, job) == "done")


def test_two_supervisors_start_each_job_once(settings, jobs):
    added = [jobs.submit("count", {"steps": 3}) for _ in range(8)]
    both = [fake.start_supervisor(settings.root, cpu=2) for _ in range(2)]
    eventually(lambda: all(state(jobs, job) == "done" for job in added))
    for process in both:
        process.terminate()
        assert process.wait(30) == 0
    for job in added:
        events = jobs.events(job.id)[0]
        assert [event["event"] for event in events].count("start") == jobs.get(job.id).attempts == 1


def test_a_job_that_needs_more_gpus_than_there_are_says_so(jobs, supervisor):
    job = jobs.submit("count", {"gpus": 2})
    eventually(lambda: state(jobs, job) == "failed")
    assert "needs 2 GPUs; jobs may use 0" in jobs.get(job.id).reason


def test_a_spec_of_another_version_says_so(jobs, supervisor):
    job = jobs.submit("count", {})
    other = jobs.store.add("z", kind="count", title="", spec={"unheard": 1}, executor="local", owner="")
    eventually(lambda: state(jobs, other) == "failed" and state(jobs, job) == "done")
    assert "unheard" in jobs.get(other.id).reason


def test_gpus_are_given_out_one_job_each():
    two, any_, none = (type("K", (), {"gpus": n})() for n in (2, None, 0))
    local = Local(2, ("0", "1", "3"))
    assert local.slot(any_, []) == "gpu:0"
    assert local.slot(any_, ["gpu:0", "cpu"]) == "gpu:1"
    assert local.slot(two, ["gpu:1"]) == "gpu:0,3"
    assert local.slot(two, ["gpu:0,3"]) is None
    assert local.slot(none, ["gpu:0", "cpu"]) == "cpu"
    assert local.slot(none, ["cpu", "cpu"]) is None


def test_torn_lines_do_not_hide_what_follows(settings, jobs):
    job = jobs.submit("count", {"steps": 3})
    (jobs.folder(job.id) / "events.jsonl").write_text('{"event": "train", "progr')
    with supervised(settings, tick=0.02):
        eventually(lambda: state(jobs, job) == "done")
    assert [event["event"] for event in jobs.events(job.id)[0]] == ["start", *["train"] * 3, "end"]


def test_a_job_over_the_disk_limit_is_ended_with_the_reason(settings, jobs, monkeypatch):
    from denoisers.jobs import supervisor as module

    job = jobs.submit("count", {"steps": 10_000})
    with supervised(settings, tick=0.02, grace=2):
        eventually(lambda: step(jobs, job) >= 1)
    watcher = module.Supervisor(settings)
    jobs.store.move(job.id, "running")
    monkeypatch.setattr(module, "size", lambda folder: 1e12)
    watcher.limit_disk()
    assert state(jobs, job) == "cancelling"
    watcher.attend(jobs.get(job.id))
    assert state(jobs, job) == "failed" and "more than 50 GB" in jobs.get(job.id).reason


def test_a_job_over_its_time_is_ended_with_the_reason(settings, jobs):
    job = jobs.submit("count", {"steps": 10_000})
    with supervised(replace(settings, hours=-1), tick=0.02, grace=2):
        eventually(lambda: state(jobs, job) == "failed")
    assert "ran longer than" in jobs.get(job.id).reason


def test_where_jobs_are_off_nothing_starts(settings, jobs):
    job = jobs.submit("count", {"steps": 1})
    with supervised(replace(settings, who="off"), tick=0.02):
        time.sleep(0.3)
    assert state(jobs, job) == "queued"


def test_a_running_job_without_a_supervisor_is_shown_as_such(settings, jobs):
    job = jobs.submit("count", {"steps": 1})
    assert jobs.status(job.id).watched
    jobs.store.move(job.id, "running", heartbeat=time.time() - 3600)
    assert not jobs.status(job.id).watched
