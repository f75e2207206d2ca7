"""Training: restartable, shared between processes, and honest about what it did."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data as pictures

from denoisers import networks, own_weights, weights
from denoisers.errors import DenoiserError, ParameterError
from denoisers.training import export, loop, recipe
from denoisers.training.validation import Validation
from denoisers.training.vgg import VGG19Features

TINY = """
title = "a test"
method = "drunet"
tag = "test"
network = {{ architecture = "drunet", widths = [8, 8], blocks = 1 }}
data = {{ clean = ["clean"], crop = [32, 16], batch = {batch} }}
optimiser = {{ lr = 1e-3 }}
schedule = {{ steps = {steps}, warmup = 2, validate_every = 4 }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with a dozen clean pictures."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "clean").mkdir()
    whole = pictures.astronaut()
    for i in range(12):
        y, x = 96 * (i // 4), 96 * (i % 4)
        Image.fromarray(whole[y : y + 96, x : x + 96]).save(folder / "clean" / f"{i}.png")
    return folder


def tiny(tmp_path, steps=8, batch=2):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.format(steps=steps, batch=batch))
    return path


def by_muon(tmp_path, steps=8, batch=2):
    path = tiny(tmp_path, steps, batch)
    path.write_text(path.read_text().replace("lr = 1e-3", 'name = "muon", lr = 4e-3'))
    return path


def recycling(tmp_path, steps=8, batch=2):
    path = by_muon(tmp_path, steps, batch)
    path.write_text(path.read_text().replace("lr = 4e-3", "lr = 4e-3, recycle = 4"))
    return path


def judged(tmp_path, options='{ gan_weight = 5.0, gan_type = "lsgan" }'):
    """An InvDN with the terms that its code names and leaves off."""
    path = tmp_path / "judged.toml"
    network = '{ architecture = "invdn", blocks = [1], width = 4 }'
    objective = f'objective = {{ name = "invdn", options = {options} }}'
    text = TINY.format(steps=8, batch=2).replace('"drunet"\ntag', '"invdn"\ntag').replace("[32, 16]", "[32]")
    path.write_text(re.sub("network = .*", f"network = {network}\n{objective}", text))
    return path


def events(run, kind):
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def command(recipe_path, folder, run, *more):
    words = ["train", recipe_path, "--data", folder, "--output", run, "--device", "cpu", "--threads", "1", *more]
    return ["-m", "denoisers", *map(str, words)]


@pytest.mark.parametrize(
    "facts", [tiny, by_muon, recycling, judged], ids=["alone", "by Muon", "recycling", "beside a discriminator"]
)
def test_resumed_training_equals_an_uninterrupted_one(tmp_path, folder, monkeypatch, facts):
    monkeypatch.setattr("denoisers.training.recycle.SILENT", 1)  # all that is below the mean
    facts = recipe.load(facts(tmp_path))
    through = load_file(loop.train(facts, folder, tmp_path / "through", threads=1))

    part, asked = tmp_path / "parts", iter([False] * 5 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(loop.Team, "agree", lambda self, progress, _: (progress, next(asked)))
        loop.train(facts, folder, part, threads=1)
    assert events(part, "end")[-1] | {"step": 5, "reason": "stopped"} == events(part, "end")[-1]
    resumed = load_file(loop.train(facts, folder, part, threads=1, resume=True))
    assert events(part, "end")[-1]["reason"] == "finished"
    for name, value in through.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_silent_channels_begin_anew_while_a_training_runs(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("denoisers.training.recycle.SILENT", 1)
    loop.train(recipe.load(recycling(tmp_path)), folder, tmp_path / "run", threads=1)
    assert [line["step"] for line in events(tmp_path / "run", "recycled") if line["channels"] > 0] == [4, 8]
    loop.train(recipe.load(by_muon(tmp_path)), folder, tmp_path / "without", threads=1)
    assert not events(tmp_path / "without", "recycled")


def test_features_and_a_discriminator_change_what_is_learned(tmp_path, folder):
    def end(name, options):
        return load_file(
            loop.train(recipe.load(judged(tmp_path, options)), folder, tmp_path / name, steps=2, threads=1)
        )

    torch.manual_seed(0)
    torch.save(VGG19Features().state_dict(), tmp_path / "vgg.pth")
    plain = end("plain", "{}")
    for name, options in {
        "features": f'{{ feature_weight = 1e4, vgg = "{tmp_path / "vgg.pth"}" }}',
        "critic": "{ gan_weight = 1e4 }",
    }.items():
        other = end(name, options)
        assert any(not torch.equal(other[key], value) for key, value in plain.items())
        assert all(value.isfinite().all() for value in other.values())


@pytest.mark.parametrize(
    ("options", "say"),
    [
        ("{ feature_weight = 1.0 }", "needs vgg"),
        ('{ gan_weight = 1.0, gan_type = "other" }', "vanilla or lsgan"),
        ('{ feature_weight = 1.0, vgg = "VGG" }', "not the state dict of torchvision's vgg19"),
        ("{ gan_wait = 1.0 }", "no 'gan_wait'; there is gan_weight, feature_weight, feature_criterion, gan_type, vgg"),
    ],
)
def test_judges_that_cannot_be_had_are_named(tmp_path, folder, options, say):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    options = options.replace("VGG", str(tmp_path / "other.pth"))
    with pytest.raises(ParameterError, match=say):
        loop.train(recipe.load(judged(tmp_path, options)), folder, tmp_path / "run", threads=1)


def test_loss_falls_and_events_tell(tmp_path, folder):
    run = tmp_path / "run"
    loop.train(recipe.load(tiny(tmp_path, steps=150, batch=4)), folder, run, threads=1)
    start, end = events(run, "start")[0], events(run, "end")[0]
    scores = events(run, "validation")
    assert start["recipe"] == "drunet.test" and end["reason"] == "finished" and end["step"] == 150
    assert scores[-1]["psnr"] > scores[0]["psnr"] + 1
    assert (run / "previews" / scores[-1]["preview"]).stat().st_size > 1000
    last = events(run, "train")[-1]
    assert last["step"] == 150 and last["pictures_per_second"] > 0 and last["lr"] > 0


def test_a_run_begun_with_another_optimiser_goes_on(tmp_path, folder):
    run = tmp_path / "run"
    loop.train(recipe.load(tiny(tmp_path, steps=2)), folder, run, threads=1)
    loop.train(recipe.load(by_muon(tmp_path, steps=4)), folder, run, threads=1, resume=True)
    assert torch.load(run / "checkpoint.pt", weights_only=True)["optimiser"]["muon"]["state"]
    assert events(run, "end")[-1]["step"] == 4


def test_a_run_does_not_go_on_with_another_noise(tmp_path, folder, capsys):
    facts = recipe.load(tiny(tmp_path, steps=1))
    loop.train(facts, folder, tmp_path / "run", threads=1)
    assert "pictures to train on, " in capsys.readouterr().err
    other = facts.model_copy(update={"noise": recipe.Noise(model="poisson")})
    with pytest.raises(DenoiserError, match="another noise than the recipe's"):
        loop.train(other, folder, tmp_path / "run", threads=1, resume=True)


def test_a_run_folder_is_not_overwritten(tmp_path, folder):
    facts = recipe.load(tiny(tmp_path, steps=1))
    loop.train(facts, folder, tmp_path / "run", threads=1)
    with pytest.raises(DenoiserError, match="--resume"):
        loop.train(facts, folder, tmp_path / "run", threads=1)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_cleanly(tmp_path, folder, name):
    run = tmp_path / "run"
    words = [sys.executable, *command(tiny(tmp_path, steps=10**6), folder, run)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    wait_for(lambda: (run / "events.jsonl").exists() and events(run, "validation"), process)
    process.send_signal(name)
    assert process.wait(60) == 0, process.stderr.read()
    end = events(run, "end")[-1]
    assert end["reason"] == "stopped"
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == end["step"]


def test_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path, folder):
    """Saving after every step, killed at random: what lies there always loads and goes on."""
    run = tmp_path / "run"
    code = "import sys; from denoisers.training import loop; loop.SAVE_EVERY = 0; "
    code += "from denoisers.__main__ import main; sys.exit(main(sys.argv[1:]))"
    rng = np.random.default_rng(0)
    steps = []
    for _ in range(3):
        words = [sys.executable, "-c", code, *command(tiny(tmp_path, steps=10**6), folder, run, "--resume")[2:]]
        process = subprocess.Popen(words, stderr=subprocess.PIPE)
        known = (run / "checkpoint.pt").stat().st_mtime_ns if steps else 0
        wait_for(lambda at=known: changed(run / "checkpoint.pt", at), process)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
        state = torch.load(run / "checkpoint.pt", weights_only=True)
        steps.append(state["step"])
        load_file(run / "average.safetensors")
    assert steps == sorted(set(steps))


def changed(path, since):
    return path.exists() and path.stat().st_mtime_ns > since


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.05)


IN_FLOAT32 = """
import sys
from denoisers.__main__ import main
from denoisers.engine.device import in_float32
with in_float32():
    sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_train_as_one_with_the_doubled_batch(tmp_path, folder):
    program, one, two = tmp_path / "train.py", tmp_path / "one", tmp_path / "two"
    program.write_text(IN_FLOAT32)

    def words(batch, run):
        return [program, *command(tiny(tmp_path, steps=6, batch=batch), folder, run)[2:]]

    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    assert subprocess.run([sys.executable, *words(4, one)], env=environment).returncode == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29713"]
    assert subprocess.run([*torchrun, *words(2, two)], env=environment).returncode == 0
    a, b = (load_file(run / "average.safetensors") for run in (one, two))
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-3, atol=1e-5)
    assert len(events(two, "end")) == 1


def test_a_loss_that_is_not_a_number_stops_it(tmp_path, folder):
    facts = recipe.load(tiny(tmp_path, steps=200))
    wild = facts.model_copy(update={"optimiser": recipe.Optimiser(lr=1e30, clip=1e30)})
    with pytest.raises(DenoiserError, match="lower learning rate"):
        loop.train(wild, folder, tmp_path / "run", threads=1)


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_normalisation_keeps_its_statistics_and_learns_its_scale(tmp_path, folder, freeze):
    facts = recipe.load(tiny(tmp_path, steps=3))
    facts = facts.model_copy(
        update={
            "method": "adnet",
            "network": {"architecture": "adnet", "width": 8},
            "optimiser": facts.optimiser.model_copy(update={"freeze_norm": freeze}),
        }
    )
    weights = load_file(loop.train(facts, folder, tmp_path / "run", threads=1))
    means = torch.stack([v for k, v in weights.items() if k.endswith("running_mean")])
    assert (means == 0).all() == freeze
    assert not torch.equal(weights["conv1_5.1.weight"], torch.ones(8))


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_reads_and_builds(name):
    facts = recipe.load(name)
    assert facts.name == name
    assert sum(p.numel() for p in facts.build().parameters()) > 1000


@pytest.mark.parametrize("name", recipe.names())
def test_a_gpu_gets_sizes_of_its_own(name):
    """At least as wide a network as a CPU's, and more pixels a step; what is not named stays."""
    facts = recipe.load(name)
    cpu, gpu = facts.on("cpu"), facts.on("cuda:0")
    assert cpu == facts.model_copy(update={"gpu": recipe.Gpu()})
    assert gpu.data.batch * gpu.data.crop[0] ** 2 > 2 * cpu.data.batch * cpu.data.crop[0] ** 2
    assert gpu.noise == cpu.noise and gpu.schedule == cpu.schedule and gpu.data.clean == cpu.data.clean
    with torch.device("meta"):
        small, large = (sum(p.numel() for p in networks.build(**f.network).parameters()) for f in (cpu, gpu))
    published = name.startswith(("noise2noise", "adnet"))  # which the CPU trains too
    assert large == small if published else large > 2 * small


def test_a_run_keeps_the_network_it_began_with(tmp_path, folder, monkeypatch):
    """Begun on a GPU (which this machine need not have), it goes on here in its size; another network is refused."""
    plain = recipe.load(tiny(tmp_path, steps=2))
    facts = plain.model_copy(update={"gpu": recipe.Gpu(network={"blocks": 2})})
    with monkeypatch.context() as patch:
        patch.setattr(recipe.Recipe, "on", lambda self, _, on=recipe.Recipe.on: on(self, "cuda"))
        loop.train(facts, folder, tmp_path / "run", steps=1, threads=1)
    began = load_file(tmp_path / "run" / "average.safetensors")
    ended = load_file(loop.train(facts, folder, tmp_path / "run", threads=1, resume=True))
    assert {k: v.shape for k, v in ended.items()} == {k: v.shape for k, v in began.items()}
    with pytest.raises(DenoiserError, match="another network"):
        loop.train(plain, folder, tmp_path / "run", threads=1, resume=True)


def test_a_training_begins_with_the_weights_it_names(tmp_path, folder):
    small = {"data": recipe.Data(clean=["clean"], crop=[32], batch=1)}
    facts = recipe.load("noise2noise.gaussian").model_copy(update={"start": "noise2noise.gaussian"})
    shipped = weights.read_ours("noise2noise", "gaussian").state_dict()
    for name, value in facts.build().state_dict().items():
        torch.testing.assert_close(value, shipped[name])
    loop.train(facts.on("cpu").model_copy(update=small), folder, tmp_path / "run", steps=1, threads=1)
    written = own_weights.origin(tmp_path / "run" / "average.safetensors")
    assert written == {"start": "noise2noise.gaussian", "noise": "gaussian"}
    other = facts.model_copy(update={"network": facts.network | {"width": 8}})
    with pytest.raises(ParameterError, match="noise2noise.gaussian is not a network of this recipe's size"):
        other.build()


RECIPE = "title = 'x'\nmethod = 'drunet'\ntag = 'x'\nnetwork = {architecture = 'drunet'}\n"


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("nonsense = ", "not TOML"),
        ("title = 'x'\nmethod = 'drunet'\ntag = 'x'\ndata = {}\nnetwork = {architecture = 'unheard'}", "architecture"),
        ("title = 'x'\nmethod = 'drunet'\ntag = 'x'\ndata = {crops = 3}\nnetwork = {architecture = 'drunet'}", "crops"),
        (
            "title = 'x'\nmethod = 'drunet'\ntag = 'x'\ndata = {}\nnetwork = {architecture = 'drunet'}\n"
            "gpu = {data = {batch = 0}}",
            r"gpu\.data\.batch",
        ),
        (
            "title = 'x'\nmethod = 'drunet'\ntag = 'x'\ndata = {}\nnetwork = {architecture = 'drunet'}\n"
            "objective = {loss = 'l3'}",
            "objective.loss: .*'l1', 'l2'",
        ),
        (RECIPE.replace("method = 'drunet'", "method = 'mwcnn'") + "data = {}", "method must be drunet"),
        (RECIPE + "data = {crop = []}", r"data\.crop"),
        (RECIPE + "data = {crop = [0]}", r"data\.crop"),
        (RECIPE + "data = {}\nnoise = {model = 'text', low = 10, high = 50}", "a share, 1 at most"),
        (RECIPE + "data = {}\nnoise = {model = 'text', low = 0, high = 0.5, validation = 25}", "a share, 1 at most"),
        (RECIPE + "data = {}\nnoise = {validation = -1}", "at least 0"),
        (RECIPE + "data = {}\nschedule = {steps = 0}", "schedule.steps"),
        (RECIPE + "data = {}\nschedule = {validate_every = 0}", "schedule.validate_every"),
        (RECIPE + "data = {noisy = ['x']}", "noise2same"),
        (RECIPE + "data = {}\nobjective = {loss = 'masked_l2'}", "bernoulli"),
        (
            RECIPE
            + "data = {pairs = ['x']}\nnoise = {model = 'bernoulli', high = 1}\nobjective = {loss = 'masked_l2'}",
            "alone",
        ),
        (RECIPE + "data = {noisy_pairs = ['x']}\nobjective = {name = 'invdn'}", "noisy_pairs have none"),
        (RECIPE + "data = {clean = ['x'], standardise = true}", "need copies"),
    ],
)
def test_a_bad_recipe_is_named(tmp_path, text, say):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ParameterError, match=say):
        recipe.load(tmp_path / "bad.toml")


def test_a_wrong_argument_of_the_network_is_named(tmp_path, folder):
    facts = recipe.load(tiny(tmp_path))
    facts = facts.model_copy(update={"network": facts.network | {"wdith": 3}})
    with pytest.raises(ParameterError, match="network: .*'wdith'"):
        loop.train(facts, folder, tmp_path / "run", threads=1)


def test_a_crop_that_does_not_suit_the_network_is_named(tmp_path, folder):
    facts = recipe.load(tiny(tmp_path))
    facts = facts.model_copy(update={"data": facts.data.model_copy(update={"crop": [33]})})
    with pytest.raises(ParameterError, match="crop: this network takes multiples of"):
        loop.train(facts, folder, tmp_path / "run", threads=1)


@pytest.mark.parametrize(
    ("given", "noise", "compared"),
    [
        ({"start": "drunet.awgn"}, "camera", "drunet.awgn"),
        ({}, "gaussian", "drunet.awgn"),
        ({}, "camera", "drunet.camera"),
    ],
)
def test_it_is_compared_with_the_nearest_weights(tmp_path, given, noise, compared):
    facts = recipe.load("drunet.camera")
    noise = recipe.Noise(model=noise, low=1)
    facts = facts.model_copy(update={"noise": noise, **given})
    crop = np.full((16, 16, 3), 0.5, np.float32)
    assert Validation(facts, [(crop, crop, 0.1)], tmp_path, "cpu").default()["weights"] == compared


def test_a_finished_training_outlives_missing_weights_to_compare_with(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)  # the catalogue is read already, the files are gone
    loop.train(recipe.load(tiny(tmp_path)), folder, tmp_path / "run", threads=1)
    end = json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert end["event"] == "end" and end["reason"] == "finished"
    assert "is missing from the weights folder" in capsys.readouterr().err


def test_a_wrong_option_of_the_loss_is_named(tmp_path, folder):
    facts = recipe.load(tiny(tmp_path))
    objective = recipe.Objective(loss="charbonnier", options={"eps": 1e-6})
    with pytest.raises(ParameterError, match="no 'eps'; there is epsilon, reduction"):
        loop.train(facts.model_copy(update={"objective": objective}), folder, tmp_path / "run", threads=1)


def test_an_unknown_recipe_lists_those_there_are():
    with pytest.raises(ParameterError, match=r"drunet\.awgn"):
        recipe.load("nothing.here")
    with pytest.raises(ParameterError, match="no recipe '/no/such/folder/drunet"):
        recipe.load("/no/such/folder/drunet.awgn.toml")


def test_a_run_becomes_weights_and_an_entry(tmp_path, folder, monkeypatch):
    run = tmp_path / "run"
    loop.train(recipe.load(tiny(tmp_path, steps=2)), folder, run, threads=1)
    monkeypatch.setattr(export, "FOLDER", tmp_path)
    entry = tomllib.loads(export.export(run))["drunet"]["test"]
    assert hashlib.sha256((tmp_path / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert (entry["device"], entry["optimiser"]) == ("cpu", "AdamW")
    assert entry["steps"] == 2 and entry["arguments"] == {"widths": [8, 8], "blocks": 1}
    network = networks.build(entry["architecture"], **entry["arguments"])
    network.load_state_dict(load_file(tmp_path / entry["file"]))


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_trains_and_validates(tmp_path, folder, name):
    """Two steps of each, on small crops of the same pictures in place of the recipe's folders, pairs included."""
    facts = recipe.load(name)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clean").symlink_to(folder / "clean")
    for role, noise in (("noisy", 0.1), ("clean", 0)):
        (tmp_path / "data" / "pairs" / role).mkdir(parents=True)
        for path in sorted((folder / "clean").iterdir())[:4]:
            grain = np.random.default_rng(0).standard_normal((96, 96, 3))
            picture = np.asarray(Image.open(path)) / 255 + noise * grain
            Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8)).save(
                tmp_path / "data" / "pairs" / role / path.name
            )
    small = {"clean": ["clean"], "pairs": ["pairs"] * bool(facts.data.pairs), "crop": [64], "batch": 1}
    facts = facts.model_copy(update={"data": facts.data.model_copy(update=small)})
    run = tmp_path / "run"
    loop.train(facts, tmp_path / "data", run, steps=2, threads=1)
    assert np.isfinite(events(run, "validation")[-1]["psnr"])
    assert np.isfinite(events(run, "train")[-1]["loss"])
