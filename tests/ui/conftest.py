import pytest

from ui import services


@pytest.fixture
def fresh_app(tmp_path, monkeypatch):
    """An empty store, no queues and no models, as right after the server has started."""

    store, queue, model = services.store, services.queue, services.model  # a test may put others there

    def forget():
        store.cache_clear()
        queue.cache_clear()
        model.clear()

    monkeypatch.setenv("GRAINWISE_DATA", str(tmp_path))
    forget()
    yield
    forget()
