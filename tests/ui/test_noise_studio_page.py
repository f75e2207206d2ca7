"""The Noise studio's logic, without a browser, on a small untrained InvDN of a visitor's."""

import asyncio
import json
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import save
from streamlit.testing.v1 import AppTest

import denoisers
from denoisers import networks
from denoisers.noise.camera import CameraNoise
from denoisers.studio import Studio
from denoisers.training import folders
from ui import noise_studio, noise_work, routes, services
from ui.queue import Queue

PAGE = Path(__file__).parents[2] / "pages" / "noise_studio.py"

pytestmark = pytest.mark.usefixtures("fresh_app", "no_catalogue")


@pytest.fixture
def no_catalogue(monkeypatch):
    """No weights of InvDN but those that a test brings."""
    spec = denoisers.spec("invdn").model_copy(update={"weights": ()})
    monkeypatch.setattr(denoisers, "spec", lambda name, real=denoisers.spec: spec if name == "invdn" else real(name))


@pytest.fixture(scope="session")
def weights():
    import torch

    torch.manual_seed(0)
    network = networks.build("invdn", blocks=[1, 1], width=8)
    for name, tensor in network.named_parameters():
        if "conv3.weight" in name:
            torch.nn.init.normal_(tensor, 0, 0.02)
    return save(network.state_dict())


def png(pixels):
    return denoisers.images.encode(pixels, "PNG")


def opened(name=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    if name:
        page.query_params["w"] = name
    return page.run()


def upload(page, data, name, which):
    return next(u for u in page.file_uploader if u.key.startswith(which)).upload(name, data).run()


def until_idle(page):
    """The page once it asks for nothing more."""
    deadline = time.monotonic() + 120
    while True:
        while any(task.active for task in list(services.queue("cpu").tasks.values())):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        page = page.run()
        if not any(task.active for task in list(services.queue("cpu").tasks.values())):
            return page


def said(page):
    kinds = (page.markdown, page.caption, page.info, page.error, page.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


def state(page):
    return page.session_state["workspace"].state


def turn(page, branch):
    return page.segmented_control(key="studio.branch").set_value(branch).run()


@pytest.fixture
def shown(monkeypatch):
    """What the viewers were given: key -> layers."""
    given = {}

    def viewer(layers, key, **_):
        given[key] = layers
        return {"centre": [0.5, 0.5]}

    monkeypatch.setattr(noise_studio, "comparison_viewer", viewer)
    return given


@pytest.fixture
def page(noisy, weights, shown):
    page = upload(opened(), png(noisy[:100, :120]), "photo.png", "upload")
    assert not page.exception
    return upload(page, weights, "mine.safetensors", "studio.file")


@pytest.fixture
def referenced(page, astronaut):
    return upload(page, png(astronaut[:100, :120]), "clean.png", "reference")


@pytest.fixture
def a_camera(monkeypatch):
    """Stands in for the fit, which takes seconds and has tests of its own."""
    monkeypatch.setattr(noise_work, "fit", lambda picture: CameraNoise())


@pytest.fixture
def instant(monkeypatch):
    """A queue whose jobs have ended before the page looks at them."""

    def submit(self, *args, really=Queue.submit):
        task = really(self, *args)
        while task.active:
            time.sleep(0.001)
        return task

    monkeypatch.setattr(Queue, "submit", submit)


def titles(layers):
    return [layer["title"] for layer in layers]


def test_without_a_picture_it_asks_for_one():
    page = opened()
    assert "a network that runs both ways" in said(page) and page.file_uploader[0].label == "Your noisy photo"


def test_without_weights_it_says_what_to_do_and_the_camera_still_works(noisy, shown, a_camera):
    page = upload(opened(), png(noisy), "photo.png", "upload")
    assert "needs a trained InvDN" in page.info[0].value and "Train" in page.info[0].value
    page = until_idle(turn(page, "camera"))
    assert titles(shown["studio.camera"]) == ["Clean", "With your camera's noise"]
    assert not page.exception and not page.error


def test_a_file_of_another_network_is_refused(noisy, shown):
    page = upload(opened(), png(noisy), "photo.png", "upload")
    other = save(networks.build("drunet", widths=[8, 12], blocks=1).state_dict())
    page = upload(page, other, "other.safetensors", "studio.file")
    assert "network of drunet" in page.error[0].value and state(page)["files"] == {}


def test_weights_that_are_gone_are_told(page):
    path = Path(state(page)["studio"]["weights"])
    path.unlink()
    page = opened(page.query_params["w"])
    assert "mine" in page.error[0].value and "needs a trained InvDN" in page.info[0].value and not page.exception


def test_the_picture_is_taken_apart(page, noisy):
    page = until_idle(page)
    (item,) = [i for part, i in state(page)["studio"]["kept"].items() if part == "inside"]
    store, info = services.store(), services.store().info(item)
    assert (info["width"], info["height"]) == (30, 25) and "30 × 25 pixels" in said(page)
    assert services.display(f"{item}{0:08x}").shape == (*info["sheet"], 3)
    assert np.trapezoid(info["density"], info["centres"]) == pytest.approx(1, abs=0.05)
    path = state(page)["studio"]["weights"]
    analysis = Studio(denoisers.load("invdn", path).network).analyse(store.pixels(state(page)["picture"]))
    np.testing.assert_allclose(store.pixels(item), np.clip(analysis.low, 0, 1), atol=1e-6)


def test_restoring_shows_a_window_first_and_then_all(page, shown):
    held = threading.Event()
    services.queue("cpu").submit("another", "Another visitor's", lambda *_: not held.wait(60))
    page.slider(key="studio.temperature").set_value(0.0).run()
    last = shown["studio.restore"][-1]
    preview = services.display(last["id"])
    assert (last["title"], preview.shape) == ("Restored", (100, 120, 3)) and last["id"] not in services.store()
    held.set()
    until_idle(page)
    assert titles(shown["studio.restore"]) == ["Original", "Draws", "Where the draws differ", "Restored"]
    original, draws, veil, restored = shown["studio.restore"]
    assert len(draws["frames"]) == 8 and services.display(veil["id"]).shape == (100, 120, 3)
    path = state(page)["studio"]["weights"]
    result = denoisers.load("invdn", path).denoise(services.store().pixels(original["id"]), samples=8, temperature=0.0)
    np.testing.assert_allclose(services.store().pixels(restored["id"]), result.image, atol=2e-3)
    np.testing.assert_allclose(preview.astype(int), services.display(restored["id"]), atol=1)


def test_what_is_ready_at_once_is_shown_at_once(page, instant, shown):
    page = turn(page, "generate")
    assert titles(shown["studio.generate"]) == ["Original", "Generated"] and "bright part is ready" not in said(page)
    next(b for b in page.button if b.label == "Make the set").click().run()
    assert "set" in state(page)["studio"]["kept"]


def test_the_sliders_of_restoring_change_the_picture(page, shown):
    until_idle(page)
    before = shown["studio.restore"][-1]["id"]
    page = until_idle(page.slider(key="studio.temperature").set_value(0.0).run())
    assert shown["studio.restore"][-1]["id"] != before
    page = until_idle(page.slider(key="studio.samples").set_value(1).run())
    assert titles(shown["studio.restore"]) == ["Original", "Restored"]
    again = opened(page.query_params["w"])
    assert again.slider(key="studio.samples").value == 1 and again.slider(key="studio.temperature").value == 0.0
    assert titles(shown["studio.restore"]) == ["Original", "Restored"]


def test_a_reference_gives_scores(referenced, shown):
    until_idle(referenced)
    assert (
        shown["studio.restore"][0]["subtitle"].endswith(" dB")
        and titles(shown["studio.restore"])[1] == "Clean reference"
    )
    info = services.store().info(shown["studio.restore"][-1]["id"])
    pixels = (
        services.store().pixels(layer["id"]) for layer in (shown["studio.restore"][-1], shown["studio.restore"][1])
    )
    assert len(info["psnr"]) == 8 and info["psnr"][-1] == pytest.approx(denoisers.metrics.psnr(*pixels), abs=0.01)


def test_no_strength_is_the_picture_itself(referenced, shown):
    page = until_idle(turn(referenced, "generate"))
    metrics = {m.label: m.value for m in page.metric}
    assert set(metrics) >= {"Level, your picture's", "Level, the generated picture's", "AKLD"}
    page = until_idle(page.slider(key="studio.strength").set_value(0.0).run())
    original, generated = (services.store().pixels(shown["studio.generate"][i]["id"]) for i in (0, -1))
    np.testing.assert_allclose(generated, original, atol=1e-5)
    assert {m.label: m.value for m in page.metric}["AKLD"] == "0.000"
    page = until_idle(page.slider(key="studio.strength").set_value(2.0).run())
    changed = services.store().pixels(shown["studio.generate"][-1]["id"])
    assert np.abs(changed - original).mean() > 10 * np.abs(generated - original).mean() + 1e-3


def test_the_set_is_training_data_that_opens(referenced, tmp_path):
    page = turn(referenced, "generate")
    page = page.slider(key="studio.count").set_value(3).run()
    page = next(b for b in page.button if b.label == "Make the set").click().run()
    page = until_idle(page)
    item = state(page)["studio"]["kept"]["set"]
    with zipfile.ZipFile(services.store().folder(item) / "set.zip") as file:
        file.extractall(tmp_path / "set")
    facts = json.loads((tmp_path / "set" / "recipe.json").read_text())
    assert facts["files"] == ["photo_noisy1.png", "photo_noisy2.png", "photo_noisy3.png"]
    found = folders.pairs(tmp_path / "set")
    assert len(found) == 3 and {e.target.name for e in found} == {"photo_clean.png"}
    one, other = (denoisers.images.read(tmp_path / "set" / name).pixels for name in facts["files"][:2])
    assert one.shape == other.shape == (100, 120, 3) and np.abs(one - other).max() > 0


def test_a_set_is_downloaded_and_nothing_else(page):
    page = next(b for b in turn(page, "generate").button if b.label == "Make the set").click().run()
    page = until_idle(page)

    def asked(item):
        return asyncio.run(routes.download_set(SimpleNamespace(path_params={"item": item})))

    reply = asked(state(page)["studio"]["kept"]["set"])
    assert "photo.generated.zip" in reply.headers["content-disposition"] and zipfile.is_zipfile(reply.path)
    for other in (state(page)["picture"], "0" * 32, "nothing"):
        assert asked(other).status_code == 404


def test_the_camera_s_noise_goes_onto_a_clean_picture(shown, noisy, a_camera):
    page = turn(upload(opened(), png(noisy), "photo.png", "upload"), "camera")
    page = until_idle(page.selectbox(key="studio.clean").set_value("Cameraman").run())
    clean, made = (services.store().pixels(layer["id"]) for layer in shown["studio.camera"])
    expected = CameraNoise().apply(clean, np.random.default_rng(0))
    np.testing.assert_allclose(made, np.clip(expected, 0, 1), atol=1e-6)
    level = np.std(made - clean)
    page = until_idle(page.select_slider(key="studio.factor").set_value(2.0).run())
    stronger = np.std(services.store().pixels(shown["studio.camera"][1]["id"]) - clean)
    assert stronger == pytest.approx(2 * level, rel=0.25)


def test_a_grey_camera_s_level_is_that_of_grey_noise_however_grey_is_stored(shown, noisy, a_camera):
    grey = np.repeat(noisy.mean(-1, keepdims=True), 3, -1)
    page = until_idle(turn(upload(opened(), png(grey), "grey.png", "upload"), "camera"))
    patch = np.full((64, 64, 1), 0.5, np.float32)
    level = 255 * CameraNoise().apply(patch, np.random.default_rng(0)).std()
    assert any(e.label == f"The camera that was found: {level:.1f} of 255 on grey" for e in page.expander)


def test_a_picture_without_noise_has_no_camera(shown):
    ramp = np.broadcast_to(np.linspace(0, 1, 128, dtype=np.float32)[:, None], (128, 128, 3))[..., :3]
    page = until_idle(turn(upload(opened(), png(np.array(ramp)), "ramp.png", "upload"), "camera"))
    assert "no noise" in page.error[0].value


def test_cancelled_work_waits_to_be_asked_for(page, monkeypatch):
    page = until_idle(page)

    def restoring(subject, **_):
        def work(on_progress, cancelled):
            while not cancelled():
                time.sleep(0.01)
            raise denoisers.errors.Cancelled("Stopped; nothing was kept.")

        return noise_work.Job("a" * 32, "Restoring the whole picture", work, 1)

    monkeypatch.setattr(noise_work, "restoring", restoring)
    page = page.run().run()
    page = until_idle(page.button(key=f"cancel.{'a' * 32}").click().run())
    assert "Restoring the whole picture: cancelled." in said(page)
    monkeypatch.undo()


def test_long_work_waits_to_be_asked_for(page, monkeypatch):
    monkeypatch.setattr(noise_studio, "LONG", 0)
    page = until_idle(page.slider(key="studio.samples").set_value(2).run())
    assert "Restoring the whole picture takes about" in said(page)
    start = next(b for b in page.button if b.key == f"start.{noise_work.restoring(*asked(page)).id}")
    page = until_idle(start.click().run())
    assert "restore" in state(page)["studio"]["kept"]


def asked(page):
    now = state(page)
    subject = noise_work.Subject(now["picture"], now["reference"], now["studio"]["weights"], "cpu")
    return subject, 2, 1.0, 0


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (37, 50)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(weights, shown, size, channels):
    pixels = np.random.default_rng(0).random((*size, channels), np.float32)
    page = upload(opened(), denoisers.images.encode(pixels, "PNG", bits=16), "deep.png", "upload")
    page = until_idle(upload(page, weights, "mine.safetensors", "studio.file"))
    assert services.store().pixels(shown["studio.restore"][-1]["id"]).shape == (*size, channels)
    page = until_idle(turn(page, "generate"))
    assert services.store().pixels(shown["studio.generate"][-1]["id"]).shape == (*size, channels)
    assert not page.exception and not page.error
