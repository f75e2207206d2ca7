"""The Compare page's logic, without a browser: what a visitor does and what the page then says.

The viewer and the paste helper are drawn by the browser's own scripts, and progress bars redraw by its clock: those
are for tests/browser. Here every redraw is a run of the page.
"""

import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import denoisers
from denoisers import networks
from denoisers.__main__ import main
from denoisers.errors import Cancelled, DenoiserError
from ui import compare, services, workspace

PAGE = Path(__file__).parents[2] / "pages" / "compare.py"

pytestmark = pytest.mark.usefixtures("fresh_app")


def opened(name=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    if name:
        page.query_params["w"] = name
    return page.run()


def png(pixels):
    return denoisers.images.encode(pixels, "PNG")


@pytest.fixture
def photo(noisy):
    return png(noisy[:48, :64])


@pytest.fixture
def page(photo):
    return upload(opened(), photo)


def upload(page, data, name="photo.png", which="upload"):
    uploader = next(u for u in page.file_uploader if u.key.startswith(which))
    return uploader.upload(name, data).run()


def choose(page, *names):
    for toggle in page.toggle:
        if (toggle.key or "").startswith("pick."):
            toggle.set_value(toggle.key.removeprefix("pick.") in names)
    return page.run()


def press(page, label):
    return next(b for b in page.button if b.label == label).click().run()


def wait(queue="cpu"):
    deadline = time.monotonic() + 120
    while any(task.active for task in services.queue(queue).tasks.values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_idle(page):
    """All results are there, and all scores."""
    wait()
    page.run()  # asks for the scores
    wait("scores")
    return page.run()


def said(page):
    """All that the page tells."""
    kinds = (page.markdown, page.caption, page.error, page.warning, page.success)
    return "\n".join(element.value for kind in kinds for element in kind)


def state(page):
    return page.session_state["workspace"].state


class StandIn:
    """What the page asks of a denoiser besides the result."""

    def level(self, pixels, noise, cancelled):
        return noise.sigma


class Obedient(StandIn):
    """Takes for ever, and stops when it is told to."""

    def denoise(self, pixels, on_progress, cancelled, **params):
        while not cancelled():
            on_progress(0.25)
            time.sleep(0.01)
        raise Cancelled("Stopped; nothing was kept.")


def test_from_a_sample_to_the_table():
    page = opened().button(key="sample.Cat").click().run()
    assert "451 × 300 pixels" in said(page) and "of 255" in said(page)
    page = press(choose(page, "wavelet"), "Denoise with 1")
    page = until_idle(page)
    table = page.dataframe[0].value
    assert list(table["Denoiser"]) == ["(noisy picture)", "Wavelet shrinkage"]
    assert table["PSNR (dB)"][1] > table["PSNR (dB)"][0] + 1 and table["SSIM"][1] > table["SSIM"][0]
    assert not page.exception


def test_the_first_choice_is_made_and_every_method_can_be_chosen(page):
    picked = {t.key.removeprefix("pick."): t.value for t in page.toggle if (t.key or "").startswith("pick.")}
    assert set(picked) == set(denoisers.names())
    assert {name for name, on in picked.items() if on} == set(services.first_choices())


@pytest.mark.parametrize(("data", "reason"), [(b"just text", "not a picture"), (b"\x89PNG\r\n\x1a\n1234", "damaged")])
def test_a_bad_upload_is_explained_and_the_earlier_picture_stays(page, data, reason):
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    before = dict(state(page))
    page = upload(page, data, "<b>note.png")
    assert reason in page.error[0].value and "<b>" not in page.error[0].value
    assert state(page) == before and len(page.dataframe) == 1


def test_a_long_name_is_shortened_where_it_is_told(page):
    page = upload(page, b"just text", f"{'n' * 300}.png")
    assert "not a picture" in page.error[0].value and len(page.error[0].value) < 300


def test_a_run_is_cancelled_and_can_be_run_again(page, monkeypatch):
    monkeypatch.setattr(services, "model", lambda *_: Obedient())
    page = press(choose(page, "tv", "wavelet"), "Denoise with 2")
    first, second = state(page)["runs"]
    while services.queue("cpu").get(first).fraction == 0:
        time.sleep(0.01)
    page = page.run()
    page = page.button(key=f"cancel.{second}").click().run()
    page = until_idle(page.button(key=f"cancel.{first}").click().run())
    assert "Total variation: cancelled." in said(page) and "Wavelet shrinkage: cancelled." in said(page)
    monkeypatch.undo()
    page = until_idle(press(page, "Run again"))
    assert list(page.dataframe[0].value["Denoiser"]) == ["Total variation"]
    page = next(b for b in page.button if (b.key or "").startswith("dismiss.")).click().run()
    assert "cancelled" not in said(page) and len(state(page)["runs"]) == 1


def test_a_failed_run_says_why(page, monkeypatch):
    class Refuses(StandIn):
        def denoise(self, *_, **__):
            raise DenoiserError("There is no room for it.")

    monkeypatch.setattr(services, "model", lambda *_: Refuses())
    page = until_idle(press(choose(page, "tv"), "Denoise with 1"))
    assert page.error[0].value == r"Total variation: There is no room for it\."


def test_a_run_lost_in_a_restart_is_told_and_can_be_run_again(page, monkeypatch):
    monkeypatch.setattr(services, "model", lambda *_: Obedient())
    page = press(choose(page, "wavelet"), "Denoise with 1")
    (item,) = state(page)["runs"]
    services.queue("cpu").cancel(item)
    monkeypatch.undo()
    services.queue.cache_clear()  # the server was stopped, and started again
    page = opened(page.query_params["w"])
    assert page.warning[0].value == "Wavelet shrinkage: not finished, the server was restarted."
    page = until_idle(press(page, "Run again"))
    assert not page.warning and list(page.dataframe[0].value["Denoiser"]) == ["Wavelet shrinkage"]


def test_the_link_brings_all_back(page):
    page = choose(page, "wavelet", "tv")
    page.slider(key="wavelet.strength").set_value(1.5)
    page = until_idle(press(page.run(), "Denoise with 2"))
    again = opened(page.query_params["w"])
    assert state(again) == state(page)
    assert set(again.dataframe[0].value["Denoiser"]) == {"Total variation", "Wavelet shrinkage · ×1.5"}
    assert again.slider(key="wavelet.strength").value == 1.5
    picked = {t.key for t in again.toggle if (t.key or "").startswith("pick.") and t.value}
    assert picked == {"pick.wavelet", "pick.tv"}


def test_a_result_that_comes_while_the_page_is_drawn_is_shown(page, monkeypatch):
    drawn, layers, settle = threading.Event(), [], compare.choose_device
    denoiser = services.model("wavelet", None, "cpu")
    denoise = denoiser.denoise

    def viewer(given, **_):
        layers[:] = [layer["title"] for layer in given]

    def choose_device():
        if services.queue("cpu").tasks:  # the viewer was drawn without the result, the lines of progress come now
            drawn.set()
            wait()
        return settle()

    monkeypatch.setattr(services, "model", lambda *_: denoiser)
    monkeypatch.setattr(denoiser, "denoise", lambda *given, **named: drawn.wait(60) and denoise(*given, **named))
    monkeypatch.setattr("ui.viewer.comparison_viewer", viewer)
    monkeypatch.setattr(compare, "choose_device", choose_device)
    press(choose(page, "wavelet"), "Denoise with 1")
    assert layers == ["Original", "Wavelet shrinkage"]


def test_on_automatic_each_method_makes_of_the_measured_noise_what_it_will(page, monkeypatch):
    level = denoisers.Denoiser.level
    monkeypatch.setattr(
        denoisers.Denoiser, "level", lambda self, *given: level(self, *given) / (2 if self.name == "tv" else 1)
    )
    page = until_idle(press(choose(page, "tv", "wavelet"), "Denoise with 2"))
    found = {services.store().info(i)["denoiser"]: services.store().info(i)["params"] for i in state(page)["runs"]}
    read = services.sigma(state(page)["picture"])
    assert found["wavelet"]["sigma"] == read and found["tv"]["sigma"] == read / 2


def test_the_command_line_repeats_a_result_on_a_noisy_copy_from_its_recipe(page, photo, tmp_path):
    noisy = services.noisy_copy(state(page)["picture"], "camera", 0.1, 3)
    item = services.start(noisy, "wavelet", {"strength": 1.5, "sigma": None}, "cpu")
    wait()
    (tmp_path / "photo.png").write_bytes(photo)
    (tmp_path / "recipe.json").write_text(json.dumps(services.recipe(item)))
    words = [str(tmp_path / name) for name in ("photo.png", "again.tif", "recipe.json")]
    assert main(["denoise", words[0], "-o", words[1], "--recipe", words[2]]) == 0
    again = denoisers.images.read(words[1]).pixels
    np.testing.assert_allclose(again, services.store().pixels(item), atol=0.51 / 255)


def test_what_a_method_has_to_tell_stands_by_its_result(page, monkeypatch):
    denoiser, extras = services.model("wavelet", None, "cpu"), {"notes": ["The fit diverged at step *7*."]}
    result = denoiser.denoise(services.store().pixels(state(page)["picture"]))
    monkeypatch.setattr(services, "model", lambda *_: denoiser)
    monkeypatch.setattr(denoiser, "denoise", lambda *_, **__: replace(result, extras=extras))
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    assert page.warning[0].value == r"Wavelet shrinkage: The fit diverged at step \*7\*\."


def test_nothing_is_computed_twice(page, photo, monkeypatch):
    until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    monkeypatch.setattr(services, "model", lambda *_: pytest.fail("computed again"))
    another = choose(upload(opened(), photo), "wavelet")
    another = until_idle(press(another, "Denoise with 1"))
    assert len(another.dataframe[0].value) == 1 and not another.error


def test_the_button_counts_what_there_is_to_run(page, monkeypatch):
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    button = next(b for b in page.button if b.label == "Pick another, or change a setting")
    assert button.disabled and "This takes" not in said(page)
    monkeypatch.setattr(services, "model", lambda *_: Obedient())
    page = press(choose(page, "wavelet", "tv"), "Denoise with 1")
    assert any(b.label == "Pick another, or change a setting" for b in page.button)
    page = page.slider(key="wavelet.strength").set_value(1.5).run()
    assert any(b.label == "Denoise with 1" for b in page.button)
    services.queue("cpu").cancel(list(state(page)["runs"])[1])
    assert any(b.label == "Denoise with 2" for b in until_idle(page).button)


def test_another_picture_stops_the_runs_that_nobody_waits_for(noisy, astronaut, monkeypatch):
    monkeypatch.setattr(services, "model", lambda *_: Obedient())
    photo = png(noisy[:40, :56])  # unlike those of visitors of other tests, who may still be about
    page = press(choose(upload(opened(), photo), "tv", "wavelet"), "Denoise with 2")
    lone, shared = state(page)["runs"]
    visitor = press(choose(upload(opened(), photo), "wavelet"), "Denoise with 1")
    assert list(state(visitor)["runs"]) == [shared]
    page = upload(page, png(astronaut[:40, :40]))
    tasks = services.queue("cpu").tasks
    assert tasks[lone].stop.is_set() and not tasks[shared].stop.is_set() and state(page)["runs"] == {}
    services.queue("cpu").cancel(shared)
    wait()


def test_a_run_that_another_visitor_waits_for_goes_on_for_them(noisy, monkeypatch):
    monkeypatch.setattr(services, "model", lambda *_: Obedient())
    photo = png(noisy[:40, :60])
    page = press(choose(upload(opened(), photo), "tv", "wavelet"), "Denoise with 2")
    lone, shared = state(page)["runs"]
    visitor = press(choose(upload(opened(), photo), "wavelet"), "Denoise with 1")
    page = page.run()
    page = page.button(key=f"cancel.{shared}").click().run()
    assert list(state(page)["runs"]) == [lone] and not services.queue("cpu").tasks[shared].stop.is_set()
    visitor = visitor.run()
    visitor.button(key=f"cancel.{shared}").click().run()
    assert services.queue("cpu").tasks[shared].stop.is_set()
    services.queue("cpu").cancel(lone)
    wait()


def test_what_is_to_be_saved_stays_when_another_result_comes(page):
    page = until_idle(press(choose(page, "tv", "wavelet"), "Denoise with 2"))
    save = next(s for s in page.selectbox if s.label == "Save")
    second = list(state(page)["runs"])[1]
    page = save.set_value(second).run()
    page = until_idle(press(choose(page, "tv", "wavelet", "nlm"), "Denoise with 1"))
    assert next(s for s in page.selectbox if s.label == "Save").value == second


def test_two_tabs_change_different_things_on_one_page():
    name = services.store().new_workspace()
    workspace.Workspace(name).update(lab={"fits": ["a"], "shown": "a"})
    one, other = workspace.Workspace(name), workspace.Workspace(name)
    one.update(lab=one["lab"] | {"fits": ["a", "b"]})
    other.update(lab={"fits": ["a"], "at": 3})
    assert workspace.Workspace(name)["lab"] == other["lab"] == {"fits": ["a", "b"], "at": 3}


def test_two_tabs_of_a_workspace_keep_what_each_has_changed():
    name = services.store().new_workspace()
    one, other = workspace.Workspace(name), workspace.Workspace(name)
    one.update(chosen={"tv": {}})
    other.update(lab={"fits": []})
    assert workspace.Workspace(name).state == workspace.Workspace.EMPTY | {"chosen": {"tv": {}}, "lab": {"fits": []}}


def test_a_run_that_is_still_stopping_says_so(page, monkeypatch):
    held = threading.Event()

    class Slow(Obedient):
        def denoise(self, *args, **kwargs):
            try:
                return super().denoise(*args, **kwargs)
            finally:
                held.wait(60)

    monkeypatch.setattr(services, "model", lambda *_: Slow())
    page = press(choose(page, "tv"), "Denoise with 1")
    cancel = next(b for b in page.button if b.label == "Cancel")
    page = cancel.click().run()
    assert next(b for b in page.button if b.label == "Cancel").disabled
    held.set()
    assert "Total variation: cancelled." in said(until_idle(page))


def test_scores_that_take_long_do_not_keep_the_page_waiting(monkeypatch):
    held, ssim = threading.Event(), denoisers.metrics.ssim
    monkeypatch.setattr(denoisers.metrics, "ssim", lambda *given: held.wait(60) and ssim(*given))
    page = opened().button(key="sample.Cat").click().run()
    assert "Comparing with the clean version" in said(page) and "451 × 300 pixels" in said(page)
    page = press(choose(page, "wavelet"), "Denoise with 1")
    wait()
    page = page.run()
    assert "PSNR (dB)" not in page.dataframe[0].value
    held.set()
    page = until_idle(page)
    assert page.dataframe[0].value["SSIM"].notna().all() and "Comparing with" not in said(page)


def test_scores_that_cannot_be_had_are_told(page, astronaut, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(denoisers.metrics, "ssim", fails)
    page = until_idle(upload(page, png(astronaut[:48, :64]), "clean.png", which="reference"))
    assert "Some scores are missing" in page.error[0].value and "Comparing with" not in said(page)


def test_a_reference_of_another_size_is_refused(page, astronaut):
    page = upload(page, png(astronaut[:32, :64]), which="reference")
    assert "64 × 48" in page.error[0].value and "64 × 32" in page.error[0].value
    assert state(page)["reference"] is None


def test_the_picture_itself_is_no_reference(page, photo):
    page = upload(page, photo, "again.png", which="reference")
    assert "the same picture" in page.error[0].value and state(page)["reference"] is None


def test_added_noise_replaces_an_uploaded_reference(page, photo, astronaut):
    picture = state(page)["picture"]
    page = upload(page, png(astronaut[:48, :64]), "clean.png", which="reference")
    uploaded = state(page)["reference"]
    assert uploaded not in (None, picture) and any("clean" in e.label for e in page.expander)
    page = press(page, "Add noise").run()
    assert state(page)["reference"] == picture and state(page)["picture"] not in (picture, uploaded)
    page = press(page, "Remove the reference")
    assert state(page)["reference"] is None


def test_the_same_file_again_changes_nothing(page, photo, astronaut):
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    page = upload(page, photo)
    assert "This is the picture that is open." in said(page) and len(page.dataframe) == 1
    for _ in range(2):
        page = upload(page, png(astronaut[:48, :64]), which="reference")
    assert state(page)["reference"] and not page.exception


def test_a_run_that_cannot_start_is_told_and_the_others_start(page, monkeypatch):
    real = services.start

    def start(picture, name, *args, **kwargs):
        if name == "tv":
            raise DenoiserError("Its weights are damaged.")
        return real(picture, name, *args, **kwargs)

    monkeypatch.setattr(services, "start", start)
    page = press(choose(page, "tv", "wavelet"), "Denoise with 2")
    assert r"Its weights are damaged\." in page.error[0].value
    assert list(until_idle(page).dataframe[0].value["Denoiser"]) == ["Wavelet shrinkage"]


def test_the_first_choices_are_the_quick_ones_that_did_best_on_photographs(monkeypatch):
    monkeypatch.setattr(
        services, "ranking", lambda white: ["inr", "drunet.awgn", "drunet.camera", "nlm", "tv", "wavelet"]
    )
    assert services.first_choices() == ["drunet", "nlm", "tv"]  # inr takes minutes


@pytest.mark.parametrize(("model", "tag"), [("gaussian", "awgn"), ("camera", "camera")])
def test_automatic_weights_fit_the_noise(model, tag, astronaut, monkeypatch):
    ranked = {True: ["adnet.awgn", "drunet.awgn", "drunet.camera"], False: ["nlm", "drunet.camera", "drunet.awgn"]}
    monkeypatch.setattr(services, "ranking", lambda white: ranked[white])
    page = upload(opened(), png(denoisers.noise.add_noise(astronaut[:128, :128], model, 25 / 255)))
    page = press(choose(page, "drunet"), "Denoise with 1")
    (run,) = state(page)["runs"].values()
    assert (run["weights"], run["title"]) == (tag, f"DRUNet · {tag}")
    until_idle(page)
    assert page.run().button and "Pick another" in " ".join(b.label for b in page.button)


def test_weights_are_a_choice_where_there_are_several(page, monkeypatch):
    catalogue = denoisers.weights.catalogue()
    known = catalogue["drunet"]["awgn"]
    spec = denoisers.spec("drunet").model_copy(update={"weights": ("awgn", "other")})
    changed = catalogue | {"drunet": {"awgn": known, "other": known | {"noise": "Something else", "sha256": "0" * 64}}}
    monkeypatch.setattr(denoisers.weights, "catalogue", lambda: changed)
    monkeypatch.setattr(denoisers, "spec", lambda name, real=denoisers.spec: spec if name == "drunet" else real(name))
    asked = []

    class Asked(Obedient):
        def __init__(self, *what):
            asked.append(what)

    monkeypatch.setattr(services, "model", Asked)
    page = choose(page, "drunet")
    assert page.selectbox(key="drunet.weights").value == "Automatic: fits the noise"
    page = page.selectbox(key="drunet.weights").set_value("other").run()
    assert "Trained on: Something else." in said(page)
    page = press(page, "Denoise with 1")
    (run,) = state(page)["runs"].values()
    assert (run["weights"], run["title"]) == ("other", "DRUNet · other")
    services.queue("cpu").cancel(next(iter(state(page)["runs"])))
    until_idle(page)
    assert asked == [("drunet", "other", "cpu")]
    assert services.result_id("p", "drunet", "other", {}) != services.result_id("p", "drunet", "awgn", {})


def test_long_runs_say_so(photo, monkeypatch):
    slow = denoisers.spec("tv").model_copy(update={"cost": 180 / (48 * 64 / 1e6)})
    monkeypatch.setattr(denoisers, "spec", lambda name, real=denoisers.spec: slow if name == "tv" else real(name))
    page = upload(opened(), photo)
    assert "This takes" not in said(page)
    assert "This takes about 3 minutes" in said(choose(page, "tv"))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 second"), (40, "40 seconds"), (95, "2 minutes"), (7200, "2 hours")]
)
def test_durations(seconds, words):
    assert compare.duration(seconds) == f"about {words}"


def test_a_removed_picture_is_told(page):
    space = state(page)
    for item in services.store().root.glob("items/*"):
        for file in item.iterdir():
            file.unlink()
        item.rmdir()
    page = opened(page.query_params["w"])
    assert "has been removed" in page.warning[0].value and space["picture"]


def test_a_grey_picture_and_a_single_pixel_work():
    page = upload(opened(), png(np.full((1, 1), 0.5, np.float32)))
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    assert "1 × 1 pixels" in said(page) and "grey" in said(page) and len(page.dataframe[0].value) == 1


def weight_file(tmp_path):
    """A small untrained DRUNet of a visitor's."""
    from safetensors.torch import save_file

    save_file(networks.build("drunet", widths=[8, 12], blocks=1).state_dict(), tmp_path / "mine.safetensors")
    return (tmp_path / "mine.safetensors").read_bytes()


def test_own_weights_become_a_choice_and_run(page, tmp_path):
    page = upload(page, weight_file(tmp_path), "mine.safetensors", which="weights")
    assert "drunet" in state(page)["chosen"]
    page = choose(page, "drunet")
    page = until_idle(press(page, "Denoise with 1"))
    (run,) = state(page)["runs"].values()
    assert "mine.safetensors" in run["title"]
    (item,) = compare.finished(page.session_state["workspace"])
    recipe = services.recipe(item)
    assert recipe["weights"] == "mine.safetensors"
    assert recipe["weights_sha256"] == hashlib.sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(("bits", "kind"), [(8, "png"), (16, "png16")])
def test_a_result_is_saved_with_the_bits_of_the_photo(noisy, bits, kind):
    page = upload(opened(), denoisers.images.encode(noisy[:48, :64], "PNG", bits=bits))
    page = until_idle(press(choose(page, "wavelet"), "Denoise with 1"))
    assert next(s for s in page.selectbox if s.label == "As").value == kind


def test_a_file_that_is_no_weights_is_explained(page):
    page = upload(page, b"not a network", "evil.pth", which="weights")
    assert "evil.pth is no weight file" in "\n".join(e.value for e in page.error).replace("\\", "")
    assert state(page)["files"] == {}


def test_a_run_is_named_by_what_differs_from_the_defaults():
    spec = denoisers.spec("drunet")
    params = spec.resolve({"sigma": 10 / 255, "strength": 0.5, "self_ensemble": True})
    assert compare.describe_run(spec, {"weights": "awgn", "params": spec.resolve({})}) == "DRUNet · awgn"
    named = compare.describe_run(spec, {"weights": "camera", "params": params})
    assert named == "DRUNet · camera, sigma 10, ×0.5, self-ensemble"
