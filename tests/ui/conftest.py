import pytest

from denoisers.jobs.settings import from_environment
from ui import jobs, services, workspace


@pytest.fixture
def fresh_app(tmp_path, monkeypatch):
    """An empty store, no queues and no models, as right after the server has started."""

    store, queue, model = services.store, services.queue, services.model  # a test may put others there

    def forget():
        from_environment.cache_clear()
        jobs.record.cache_clear()
        store.cache_clear()
        queue.cache_clear()
        model.clear()
        workspace._open.clear()  # visitors of other tests

    monkeypatch.setenv("GRAINWISE_DATA", str(tmp_path))
    forget()
    yield
    forget()


@pytest.fixture
def with_jobs(fresh_app, monkeypatch):
    """An app whose visitors may start jobs, with nobody to work them."""
    monkeypatch.setenv("GRAINWISE_JOBS", "everyone")
    from_environment.cache_clear()
