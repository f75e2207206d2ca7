"""A user's own weight files: every network we have is recognised, and nothing else gets through the door."""

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import denoisers
from denoisers import networks, own_weights
from denoisers.__main__ import main
from denoisers.errors import WeightsError

SMALL = {
    "adnet": {"width": 8},
    "drunet": {"widths": [8, 12, 16], "blocks": 1},
    "invdn": {"blocks": [2, 3], "width": 8},
    "mwcnn": {"widths": [8, 12], "convs": 3},
    "noise2noise_unet": {"width": 12},
    "noise2same_unet": {"width": 8},
    "pridnet": {"features": 8, "widths": [4, 8]},
    "rednet": {"width": 8, "layers": 10, "stride": 2},
}


def saved(tmp_path, architecture, suffix=".safetensors", wrap=lambda state: state):
    network = networks.build(architecture, **SMALL[architecture])
    path = tmp_path / f"mine{suffix}"
    state = network.state_dict()
    if suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(wrap(state), path)
    return path, network


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_every_architecture_is_read_off_its_tensors(tmp_path, architecture):
    path, network = saved(tmp_path, architecture)
    name, read = own_weights.read(path)
    assert name in denoisers.registry.METHODS
    assert type(read) is type(network)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(read.state_dict()[key], value)


def test_rednet_of_stride_one_is_told_from_stride_two(tmp_path):
    network = networks.build("rednet", width=8, layers=10, stride=1)
    save_file(network.state_dict(), tmp_path / "one.safetensors")
    assert own_weights.read(tmp_path / "one.safetensors")[1].multiple == 1


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("wrapper", [None, "params_ema", "state_dict", "model"])
def test_pytorch_files_and_their_wrappers(tmp_path, suffix, wrapper):
    path, _ = saved(tmp_path, "drunet", suffix, lambda state: {wrapper: state, "epoch": 3} if wrapper else state)
    assert own_weights.read(path)[0] == "drunet"


def test_of_our_own_checkpoints_the_averaged_weights_are_read(tmp_path):
    path, network = saved(
        tmp_path, "drunet", ".pt", lambda state: {"network": state, "average": {k: v + 1 for k, v in state.items()}}
    )
    read = own_weights.read(path)[1].state_dict()
    assert all(torch.equal(read[name], value + 1) for name, value in network.state_dict().items())


def test_whatever_spandrel_raises_is_a_file_it_does_not_know(tmp_path, monkeypatch):
    from denoisers.engine import torchvision_guard  # noqa: F401, I001
    import spandrel

    def stumble(*_):
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(spandrel.ModelLoader, "load_from_state_dict", stumble)
    save_file({"strange.weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="belongs to no network"):
        own_weights.read(tmp_path / "x.safetensors")


def test_published_adnet_files_want_blue_first(tmp_path):
    path, _ = saved(tmp_path, "adnet", ".pth", lambda state: {f"module.{k}": v for k, v in state.items()})
    assert own_weights.read(path)[1].bgr
    assert not own_weights.read(saved(tmp_path, "adnet")[0])[1].bgr


def test_a_file_runs_through_load_and_the_command_line(tmp_path, noisy):
    path, _ = saved(tmp_path, "drunet")
    result = denoisers.load("drunet", path).denoise(noisy, sigma=0.1)
    assert result.image.shape == noisy.shape
    denoisers.images.write(tmp_path / "in.png", noisy)
    out = tmp_path / "out.png"
    assert (
        main(["denoise", str(tmp_path / "in.png"), "--weights", str(path), "-o", str(out), "--sigma", "25", "-q"]) == 0
    )
    assert out.exists()


def dncnn(layers=17, width=8):
    """A state dict as KAIR's DnCNN writes it."""
    conv, channels = torch.nn.Conv2d, [3, *[width] * (layers - 1), 3]
    torch.manual_seed(0)
    modules = []
    for i, pair in enumerate(zip(channels[:-1], channels[1:], strict=True)):
        modules += [conv(*pair, 3, padding=1), *([torch.nn.ReLU()] if i < layers - 1 else [])]
        torch.nn.init.kaiming_normal_(modules[2 * i].weight)  # what enters can be seen in what leaves
    return {f"model.{k}": v for k, v in torch.nn.Sequential(*modules).state_dict().items()}


def test_a_network_that_only_spandrel_knows(tmp_path, noisy):
    torch.save(dncnn(), tmp_path / "dncnn.pth")
    name, network = own_weights.read(tmp_path / "dncnn.pth")
    assert (name, network.title, network.takes_sigma) == ("own", "DnCNN", False)
    result = denoisers.load("own", tmp_path / "dncnn.pth").denoise(noisy[:61, :45])
    assert result.image.shape == (61, 45, 3) and np.isfinite(result.image).all()


def test_a_spandrel_network_that_is_told_the_noise_level(tmp_path, noisy):
    state = dncnn()
    state["model.0.weight"] = torch.cat([state["model.0.weight"], torch.ones(8, 1, 3, 3)], 1)
    torch.save(state, tmp_path / "fdncnn.pth")
    denoiser = denoisers.load("own", tmp_path / "fdncnn.pth")
    assert denoiser.network.takes_sigma
    low, high = (denoiser.denoise(noisy, sigma=s).image for s in (0.01, 0.2))
    assert not np.allclose(low, high)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_malicious_pickle_is_not_run(tmp_path):
    torch.save({"weight": Evil(tmp_path / "harm")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="more than tensors"):
        own_weights.read(tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Evil(tmp_path / "harm")))
    with pytest.raises(WeightsError):
        own_weights.read(tmp_path / "old.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("suffix", own_weights.SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"not weights at all", os.urandom(4096)])
def test_files_that_are_no_weights(tmp_path, suffix, content):
    (tmp_path / f"bad{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match="bad"):
        own_weights.read(tmp_path / f"bad{suffix}")


def test_a_truncated_file_a_missing_one_and_a_list(tmp_path):
    path, _ = saved(tmp_path, "drunet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        own_weights.read(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        own_weights.read(tmp_path / "none.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="state dict"):
        own_weights.read(tmp_path / "list.pth")


def test_weights_of_another_method_and_of_none(tmp_path):
    path, _ = saved(tmp_path, "drunet")
    with pytest.raises(WeightsError, match="DRUNet, not the network of adnet"):
        denoisers.load("adnet", path)
    save_file({"some.weight": torch.zeros(3, 3)}, tmp_path / "strange.safetensors")
    with pytest.raises(WeightsError, match=r"some\.weight"):
        own_weights.read(tmp_path / "strange.safetensors")


def test_a_wrong_shape_is_refused(tmp_path):
    network = networks.build("drunet", **SMALL["drunet"])
    state = network.state_dict() | {"tail.weight": torch.zeros(3, 9, 3, 3)}
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError):
        own_weights.read(tmp_path / "wrong.safetensors")


def test_a_wide_tensor_alone_takes_no_memory(tmp_path, monkeypatch):
    """A file of kilobytes that names a network of gigabytes, and one of no channels at all."""
    built, build = [], networks.build

    def watched(architecture, **arguments):
        network = build(architecture, **arguments)
        built.append(sum(p.numel() for p in network.parameters() if not p.is_meta))
        return network

    monkeypatch.setattr(networks, "build", watched)
    none = {"head.weight": torch.zeros(0, 3, 3, 3), "tail.weight": torch.zeros(3, 0, 1, 1)}
    for state in ({"conv1_16.weight": torch.zeros(2000, 3, 3, 3)}, none):
        save_file(state, tmp_path / "wide.safetensors")
        with pytest.raises(WeightsError):
            own_weights.read(tmp_path / "wide.safetensors")
    assert built and max(built) == 0


@pytest.mark.parametrize("whole", [lambda shape: torch.zeros(1).expand(shape), lambda s: torch.zeros(s, device="meta")])
def test_a_file_that_lacks_its_values_is_refused(tmp_path, whole):
    """Kilobytes that would become gigabytes once they are written out."""
    state = networks.build("drunet", **SMALL["drunet"]).state_dict()
    torch.save({name: whole(value.shape) for name, value in state.items()}, tmp_path / "thin.pth")
    with pytest.raises(WeightsError, match="lacks most of the values of head"):
        own_weights.read(tmp_path / "thin.pth")
