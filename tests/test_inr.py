"""The INR: its network, its optimiser, its fits and the rules that stop them, and the denoiser made of these."""

import csv
import io
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import denoisers.inr.fit as inr_fit
from denoisers.errors import Cancelled, ParameterError
from denoisers.inr import BOOK, FAST, Fit, Recipe, Trajectory, es_wmv, fixed, held_out, least, oracle, stop, variance
from denoisers.methods import inr
from denoisers.metrics import psnr
from denoisers.muon import orthogonalised
from denoisers.networks.siren import Siren
from denoisers.run import Run

SIGMA = 25 / 255
SMALL = replace(FAST, width=16, depth=2, steps=12)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(noisy):
    return noisy[:40, :48]


def denoise(image, on_progress=None, cancelled=None, **params):
    params = {"sigma": SIGMA, "width": 16, "depth": 2} | params
    answer = inr.denoise(image, run=Run(on_progress, cancelled), **inr.SPEC.resolve(params))
    return answer if isinstance(answer, tuple) else (answer, {})


def run(fit, until=None):
    return list(fit.steps(until))


def rising_and_falling():
    """A course as fits take it: the error to the noisy picture falls through 0.01 at 8, the clean one is best at 6."""
    past, rng = Trajectory(), np.random.default_rng(0)
    settling = rng.standard_normal((30, 50, 1)) * np.abs(np.arange(1, 31) - 16)[:, None, None] * 0.01
    for i in range(1, 31):
        past.loss.append(0.08 / i)
        past.probed.append(i)
        past.probes.append((0.5 + settling[i - 1]).astype(np.float16))
        past.held_out.append((i - 10) ** 2 * 1e-4 + 0.01)
        past.keep(i, np.full((2, 2, 1), i / 32), 0.08 / i, 30 - abs(i - 6))
    return past


def test_siren_has_its_size_and_its_start():
    network = Siren(1, generator=torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in network.parameters()) == 198_401
    places = torch.rand(4000, 2) * 2 - 1
    x, spreads = places, []
    for layer, omega in zip(network.layers[:-1], network.omegas, strict=True):
        phase = omega * (x @ layer.weight.T + layer.bias)
        spreads.append(phase.std().item())
        x = torch.sin(phase)
    assert 5 < spreads[0] < 25  # many periods of the first layer across the picture
    assert all(abs(s - spreads[1]) < 0.25 * spreads[1] for s in spreads[1:])  # no layer widens or narrows them
    torch.testing.assert_close(network(places), x @ network.layers[-1].weight.T + network.layers[-1].bias)


def test_muon_makes_singular_values_equal():
    matrices = torch.randn(2, 24, 24, generator=torch.Generator().manual_seed(0))
    before, after = torch.linalg.svdvals(matrices), torch.linalg.svdvals(orthogonalised(matrices, rounds=3))
    assert (before.amax(1) > 20 * before.amin(1)).all()
    assert (after[:, :12] > 0.5).all() and (after < 1.3).all()


@pytest.mark.parametrize(
    ("rule", "iteration"), [("variance", 8), ("margin", 9), ("held_out", 10), ("fixed", 20), ("oracle", 6)]
)
def test_rules_stop_a_constructed_curve_where_they_should(rule, iteration):
    assert stop(rising_and_falling(), rule, sigma=0.1, steps=20) == (iteration, True)


def test_es_wmv_stops_where_outputs_change_least():
    chosen = es_wmv(rising_and_falling())
    assert abs(chosen.iteration - 16) <= 4


def test_rules_say_when_nothing_is_decided():
    past = rising_and_falling()
    assert variance(past, sigma=0.01) == (30, False)
    assert fixed(past, 40) == (30, False)
    past.held_out = [1 / i for i in past.probed]
    assert not held_out(past).fired
    past.psnr = []
    with pytest.raises(ParameterError, match="reference"):
        oracle(past)
    with pytest.raises(ParameterError, match="es_wmv"):
        stop(past, "guess")


def test_another_sigma_chooses_another_output_without_a_fit(small):
    fit = Fit(small, replace(SMALL, width=32, steps=60))
    run(fit)
    past = fit.trajectory
    high, low = (past.mse[past.kept.index(k)] ** 0.5 for k in (past.kept[3], past.kept[-1]))
    early, late = variance(past, high), variance(past, low)
    assert early.iteration < late.iteration and early.fired and late.fired
    assert np.abs(past.output(early.iteration) - past.output(late.iteration)).max() > 0.01
    assert fit.iteration == 60


def test_decay_acts_on_exactly_the_last_two_layers(small):
    """A batch without error leaves decay as the only gradient."""
    fit = Fit(small, replace(BOOK, width=8, decay=0.5))
    with torch.no_grad():
        fit.target.copy_(fit.network(fit.places))
    before = copies(fit)
    next(fit.steps())
    moved = [not torch.equal(a, b) for a, b in zip(before, copies(fit), strict=True)]
    assert moved == 6 * [False] + 4 * [True]
    shrunk = [b.norm() < a.norm() for a, b in zip(before, copies(fit), strict=True)]
    assert all(shrunk[6:])
    fit = Fit(small, replace(BOOK, width=8, decay=0.0))
    with torch.no_grad():
        fit.target.copy_(fit.network(fit.places))
    before = copies(fit)
    next(fit.steps())
    assert all(torch.equal(a, b) for a, b in zip(before, copies(fit), strict=True))


def copies(fit):
    return [p.detach().clone() for p in fit.network.parameters()]


@pytest.mark.parametrize("preset", [FAST, BOOK])
def test_a_seed_repeats_and_another_differs(small, preset):
    first, again, other = (Fit(small, replace(preset, width=16, steps=6, seed=seed)) for seed in (3, 3, 4))
    curves = [[state.loss for state in run(fit)] for fit in (first, again, other)]
    assert curves[0] == curves[1] != curves[2]
    first.restart()
    assert first.iteration == 0 and not first.trajectory.kept
    assert [state.loss for state in run(first)] == curves[0]


def test_pausing_changes_nothing(small):
    recipe = replace(SMALL, steps=20)
    whole, paused = Fit(small, recipe), Fit(small, recipe)
    run(whole)
    for state in paused.steps():
        if state.iteration == 7:
            break
    assert paused.iteration == 7
    run(paused)
    assert whole.trajectory.loss == paused.trajectory.loss
    np.testing.assert_array_equal(whole.look(), paused.look())
    assert run(paused, 25)[-1].iteration == 25


@pytest.mark.parametrize("average", ["weights", "outputs"])
def test_a_fit_that_is_stopped_anywhere_goes_on_as_if_it_had_not_been(small, average, monkeypatch):
    monkeypatch.setattr(inr_fit, "CHUNK", 1500)
    recipe = replace(SMALL, steps=20, average=average)
    whole, polls = Fit(small, recipe), []
    assert len(list(whole.steps(run=Run(None, lambda: polls.append(0))))) == 20 and len(polls) > 30
    for at in range(1, len(polls) + 1):
        stopped, count = Fit(small, recipe), iter(range(1, 10**6))
        with pytest.raises(Cancelled):
            list(stopped.steps(run=Run(None, lambda count=count, at=at: next(count) == at)))
        run(stopped)
        assert (stopped.trajectory.kept, stopped.trajectory.probed) == (whole.trajectory.kept, whole.trajectory.probed)
        assert stopped.trajectory.loss == whole.trajectory.loss and stopped.iteration == 20
        np.testing.assert_array_equal(stopped.trajectory.output(20), whole.trajectory.output(20))


def test_a_fit_learns_the_picture_before_the_noise(noisy, astronaut):
    """On 64 x 64 pixels, from clean of noise to noisy: the error falls all along, the PSNR rises, then falls."""
    clean, picture = astronaut[:64, :64], noisy[:64, :64]
    fit = Fit(picture, replace(FAST, width=64, steps=150, anneal=0), clean)
    states = run(fit)
    past = fit.trajectory
    assert states[-1].mse < past.mse[len(past.mse) // 2] < past.mse[0]
    best = int(np.argmax(past.psnr))
    assert past.psnr[best] > psnr(picture, clean) + 3 and past.psnr[best] > past.psnr[-1] + 0.2
    assert past.psnr[best] - psnr(past.output(variance(past, SIGMA).iteration), clean) < 1


def test_a_grey_picture_in_three_channels_stays_grey():
    grey = np.random.default_rng(0).random((24, 30, 1), np.float32)
    recipe = replace(FAST, width=16, steps=12)
    one, three = (Fit(picture, recipe) for picture in (grey, grey.repeat(3, -1)))
    for fit in (one, three):
        assert list(fit.steps())
    np.testing.assert_array_equal(three.trajectory.output(12), one.trajectory.output(12).repeat(3, -1))
    np.testing.assert_array_equal(three.look(), one.look().repeat(3, -1))


def test_lattice_batches_and_held_out_pixels_are_a_partition():
    fit = Fit(np.random.default_rng(0).random((100, 130, 1), np.float32), SMALL)
    assert len(fit.phases) == 16 and max(len(phase) for phase in fit.phases) <= 1024
    everything = torch.cat([*fit.phases, fit.held_out]).numpy()
    np.testing.assert_array_equal(np.sort(everything), np.arange(100 * 130))
    assert len(fit.held_out) == round(0.02 * 100 * 130)
    y, x = np.divmod(fit.phases[1].numpy(), 130)
    assert len(set(y % 4)) == len(set(x % 4)) == 1


def test_averages_change_the_output_and_not_the_fit(small):
    plain, weights, outputs = (
        Fit(small, replace(SMALL, ema=ema, average=average))
        for ema, average in ((0, "weights"), (0.9, "weights"), (0.9, "outputs"))
    )
    for fit in (plain, weights, outputs):
        run(fit)
    assert plain.trajectory.loss == weights.trajectory.loss == outputs.trajectory.loss
    last = [fit.trajectory.outputs[12].astype(np.float32) for fit in (plain, weights, outputs)]
    assert np.abs(last[0] - last[1]).max() > 1e-3 and np.abs(last[0] - last[2]).max() > 1e-3
    # a plain mean of all iterations while they are few: here of those whose output was seen
    np.testing.assert_allclose(plain.look(), last[0], atol=2e-3)


def test_a_fit_that_diverges_is_noticed_and_its_last_good_output_kept(small):
    fit = Fit(small, replace(SMALL, optimiser="adam", lr=10.0, anneal=0, steps=400))
    states = run(fit)
    assert fit.diverged and states[-1].iteration < 100
    assert run(fit) == []
    image, extras = denoise(small, optimiser="adam", lr=10.0, steps=400)
    assert "diverged" in extras["notes"][0] and "10" in extras["notes"][0]
    np.testing.assert_array_equal(image, small)  # no output was worth keeping
    past = Trajectory()
    for iteration, mse in ((4, 0.02), (16, 0.01), (48, 0.5)):
        past.keep(iteration, small, mse)
    assert least(past).iteration == 16


def test_nan_is_a_divergence(small):
    fit = Fit(small, SMALL)
    next(fit.steps())
    with torch.no_grad():
        fit.network.layers[0].bias.fill_(float("nan"))
    run(fit)
    assert fit.diverged and fit.iteration == 2 and np.isfinite(fit.trajectory.outputs[1]).all()
    fit = Fit(small, SMALL, small, residual="chen")
    next(fit.steps())
    with torch.no_grad():
        fit.averaged.layers[0].bias.fill_(float("nan"))
    assert fit.keep() == (None, None) and fit.trajectory.kept == [1]


def test_exports(small):
    fit = Fit(small, SMALL, small, residual="chen")
    run(fit)
    rows = list(csv.DictReader(io.StringIO(fit.trajectory.csv())))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 13))
    assert float(rows[11]["mse"]) == fit.trajectory.mse[-1] and rows[1]["held_out"] == ""
    assert float(rows[11]["psnr"]) == fit.trajectory.psnr[-1]
    with np.load(io.BytesIO(fit.trajectory.npz())) as kept:
        assert kept["outputs"].shape == (len(fit.trajectory.kept), *small.shape)
        assert kept["outputs"].dtype == np.float16 and list(kept["iterations"]) == fit.trajectory.kept
    again = Trajectory.read(io.BytesIO(fit.trajectory.npz()))
    assert again.csv() == fit.trajectory.csv() and "residual" in again.curves()
    np.testing.assert_array_equal(again.output(5), fit.trajectory.output(5))
    for rule in ("variance", "held_out", "es_wmv", "oracle"):
        assert stop(again, rule, SIGMA) == stop(fit.trajectory, rule, SIGMA)
    assert Recipe(**fit.recipe.as_dict()) == fit.recipe


def test_the_weights_of_a_probe_are_remembered(small, monkeypatch):
    fit, other = (Fit(small, replace(SMALL, steps=100)) for _ in range(2))
    for state in other.steps():
        if state.iteration == 57:
            break
    run(fit)
    last = fit.look()
    np.testing.assert_array_equal(fit.recall(57), np.clip(other.look(), 0, 1))
    np.testing.assert_array_equal(fit.look(), last)
    monkeypatch.setattr("denoisers.inr.fit.MEMORIES", 5)
    fit.restart()
    run(fit)
    assert len(fit.memory) == 5 and {1, 100} < set(fit.memory)


def test_the_denoiser_looks_back_to_the_best_moment(noisy, astronaut):
    """On 64 x 64 pixels a fit of 400 steps learns the noise: held-out pixels tell when it began."""
    picture, clean = noisy[:64, :64], astronaut[:64, :64]
    back, extras = denoise(picture, width=64, depth=3, steps=400)
    late, _ = denoise(picture, width=64, depth=3, steps=400, stop="fixed")
    assert extras["iterations"][0] < 400 and psnr(back, clean) > psnr(late, clean) + 1


def test_a_copy_stays_while_the_fit_goes_on(small):
    fit = Fit(small, SMALL, small)
    run(fit, 5)
    past = fit.trajectory.copy()
    run(fit)
    assert past.kept == list(past.outputs) == [1, 2, 3, 4, 5] and len(past.loss) == len(past.psnr) == 5
    assert fit.trajectory.kept[-1] == 12


def test_what_is_taken_away_has_the_level_of_the_noise(noisy):
    """At first that is noise and picture, and the estimator sees the noise through it."""
    fit = Fit(noisy[:64, :64], replace(SMALL, steps=30), residual="chen")
    run(fit)
    past = fit.trajectory
    assert len(past.residual) == len(past.kept) and past.mse[0] ** 0.5 > 2 * SIGMA
    assert all(abs(level - SIGMA) < 0.3 * SIGMA for level in past.residual)


def test_the_rule_follows_preset_and_noise(noisy):
    from denoisers.noise import describe_noise

    white = describe_noise(noisy)
    camera = white._replace(method="camera")
    assert [inr.rule_of("preset", preset, white, 9999) for preset in ("fast", "book")] == ["held_out", "variance"]
    assert inr.rule_of("preset", "book", camera, 9999) == inr.rule_of("preset", "fast", camera, 9999) == "margin"
    assert inr.rule_of("preset", "fast", white, 99) == "margin"
    assert inr.rule_of("es_wmv", "book", camera, 9999) == "es_wmv"
    _, extras = denoise(noisy[:40, :48], steps=12)
    assert extras["noise"] == describe_noise(noisy[:40, :48]).method


def test_a_long_trajectory_is_thinned_and_keeps_its_end(monkeypatch):
    monkeypatch.setattr("denoisers.inr.trajectory.KEPT_BYTES", 10 * 8)
    past = rising_and_falling()
    assert len(past.outputs) <= 10 and 30 in past.outputs and len(past.kept) == len(past.mse) == 30
    assert np.diff(list(past.outputs)).min() > 0
    assert 1 in past.outputs and abs(past.output(5).flat[0] * 32 - 5) <= 1


def test_gains_on_colour_and_grey(noisy, astronaut):
    image, extras = denoise(noisy[:64, :64], width=64, depth=3, steps=100)
    assert psnr(image, astronaut[:64, :64]) > psnr(noisy[:64, :64], astronaut[:64, :64]) + 3
    assert extras["stop"] == "held_out" and extras["notes"] == []
    grey, extras = denoise(noisy[:64, :64, 1:2], width=64, depth=3, stop="variance", steps=200)
    assert grey.shape == (64, 64, 1)
    assert extras["iterations"][0] < 200 and np.mean(extras["curves"]["loss"][1][-4:]) <= SIGMA**2


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 2, 1), (1, 90, 1), (90, 1, 3), (2, 2, 3), (7, 300, 1)])
@pytest.mark.parametrize("rule", ["fixed", "variance", "held_out"])
def test_any_size(shape, rule):
    image = np.random.default_rng(0).random(shape, np.float32)
    if rule == "held_out" and 1 < shape[0] * shape[1] < 25:
        with pytest.raises(ParameterError, match="too small"):
            denoise(image, steps=12, stop=rule)
        return
    restored, _ = denoise(image, steps=12, stop=rule)
    assert restored.shape == shape and np.isfinite(restored).all()


def test_nothing_to_remove_and_nothing_to_see(small):
    for params in ({"sigma": 0.0}, {"strength": 0.0}):
        np.testing.assert_array_equal(denoise(small, **params)[0], small)
    flat = np.full((30, 30, 3), 0.3, np.float32)
    np.testing.assert_array_equal(denoise(flat)[0], flat)
    drowned, _ = denoise(small, sigma=100 / 255, stop="variance")  # more noise than contrast: the mean colour, about
    assert np.abs(drowned - small.mean((0, 1))).max() < 0.2


def test_large_pictures_are_fitted_in_windows(astronaut):
    clean = np.tile(astronaut, (3, 3, 1))[:300, :270]
    noisy = clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    seen = []
    image, extras = denoise(
        noisy, steps=12, stop="fixed", on_progress=lambda fraction, preview: seen.append((fraction, preview))
    )
    assert image.shape == clean.shape and len(extras["iterations"]) == 4 and "curves" not in extras
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    seams = np.abs(np.diff(image[:, 40:260], axis=0)).mean((1, 2))
    assert seams.max() < 4 * np.median(seams)


def test_previews_have_the_shape_of_the_picture(noisy):
    picture, seen = np.tile(noisy, (3, 3, 1)), []  # 0.15 megapixels: every second pixel is shown
    denoise(picture, on_progress=lambda _, preview: seen.append(preview), steps=200, stop="fixed")
    shown = [preview for preview in seen if preview is not None]
    assert shown and all(p.shape == (192, 192, 3) and 0 <= p.min() <= p.max() <= 1 for p in shown)
    assert psnr(shown[-1], picture[::2, ::2]) > 5


def test_asks_often_whether_it_was_cancelled(noisy):
    """By the book, a step takes seconds: the question is asked inside it. Time of this thread alone."""
    picture = np.tile(noisy, (2, 2, 1))
    asked = [time.thread_time()]

    def cancelled():
        asked.append(time.thread_time())
        return len(asked) > 25

    with pytest.raises(Cancelled):
        denoise(picture, cancelled=cancelled, preset="book", width=None, depth=None)
    assert np.diff(asked).max() < 0.4


def test_settings_override_the_preset():
    assert inr.recipe_of("fast", 0) == FAST and inr.recipe_of("book", 0, batch="preset", lr=None) == BOOK
    assert inr.recipe_of("book", 5, batch="lattice", lr=1e-3) == replace(BOOK, batch="lattice", lr=1e-3, seed=5)
    with pytest.raises(ParameterError, match="sgd"):
        Recipe(optimiser="sgd")
