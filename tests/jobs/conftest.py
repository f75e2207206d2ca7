import os
import signal

import fake
import pytest
from job_helpers import processes

from denoisers.jobs import Jobs, Settings, Visitor, supervised
from denoisers.jobs.store import ACTIVE

fake.register()


def pytest_configure(config):
    config.addinivalue_line("markers", "ray: needs requirements-ray.txt; also slow, so not in `make test`")


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "jobs", who="everyone", folders=(tmp_path / "data",), per_user=100)


@pytest.fixture
def jobs(settings):
    jobs = Jobs(settings, Visitor())
    yield jobs
    for process in fake.STARTED:  # only what a failed test has left
        process.kill()
        process.wait()
    fake.STARTED.clear()
    for pid in processes(settings.root):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def supervisor(settings, jobs):
    with supervised(settings, tick=0.02, grace=2):
        yield
    assert not jobs.store.list(*ACTIVE) and not processes(settings.root)
