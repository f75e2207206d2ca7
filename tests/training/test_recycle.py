"""Silent channels begin anew: the network answers as before, and they fire again."""

import pytest
import torch

from denoisers.networks.adnet import ADNet
from denoisers.networks.drunet import DRUNet
from denoisers.networks.mwcnn import MWCNN
from denoisers.networks.rednet import REDNet
from denoisers.training import recycle
from denoisers.training.loop import Average
from denoisers.training.recycle import Recycling

NETWORKS = {
    "drunet": lambda: DRUNet(3, (8, 16, 16, 16), 1),
    "mwcnn": lambda: MWCNN(3, (8, 12, 16)),
    "adnet": lambda: ADNet(3, 16),
    "rednet": lambda: REDNet(3, 8, 10),
    "rednet, stride 2": lambda: REDNet(3, 8, 10, 2),
}
DEAD = slice(0, 4)


def answer(network, x):
    with torch.no_grad():
        return network(x, 0.1) if network.takes_sigma else network(x)


def kill(network):
    """Four channels of each second ReLU fall silent; returns where."""
    units = list(network.rectified())[::2]
    with torch.no_grad():
        for conv, norm, _ in units:
            conv.weight[DEAD] = 0
            for bias in (conv.bias, norm and norm.bias):
                if bias is not None:
                    bias[DEAD] = -1
    return units


def firing(network, units, x):
    """Share of each dead channel's pixels at which it fires, a unit a line."""
    shares = []

    def look(_, inputs, output):
        shares.append((output[:, DEAD] > 0).float().mean((0, 2, 3)))

    hooks = [(norm or conv).register_forward_hook(look) for conv, norm, _ in units]
    answer(network, x)
    for hook in hooks:
        hook.remove()
    return torch.stack(shares)


@pytest.mark.parametrize("name", NETWORKS)
def test_silent_channels_fire_again_and_the_answer_stays(name):
    torch.manual_seed(0)
    network, x = NETWORKS[name]().eval(), torch.rand(2, 3, 32, 32)
    units = kill(network)
    average = Average(network, 0.9)
    assert firing(network, units, x).max() == 0
    before, recycling, counts = answer(network, x), Recycling(network, average, 3, lambda tensors: None), []
    for step in range(1, 7):
        answer(network, x)
        counts.append(recycling(step))
    assert counts[2] >= 4 * len(units) and not any(counts[i] for i in (0, 1, 3, 4))
    assert firing(network, units, x).median() > 0.1
    torch.testing.assert_close(answer(network, x), before, atol=1 / 255, rtol=0)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(average.weights[key], value, msg=key)


def test_a_channel_that_fires_is_left_alone(monkeypatch):
    monkeypatch.setattr(recycle, "SILENT", 0)
    torch.manual_seed(0)
    network, x = NETWORKS["adnet"]().eval(), torch.rand(2, 3, 32, 32)
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    recycling = Recycling(network, Average(network, 0.9), 2, lambda tensors: None)
    for step in range(1, 5):
        answer(network, x)
        assert recycling(step) == 0
    for key, value in network.state_dict().items():
        assert torch.equal(kept[key], value), key


def test_new_channels_learn():
    torch.manual_seed(0)
    network, x = NETWORKS["drunet"](), torch.rand(2, 3, 32, 32)
    units = kill(network)
    recycling = Recycling(network, Average(network, 0.9), 2, lambda tensors: None)
    for step in (1, 2):
        answer(network, x)
        recycling(step)
    for _ in range(2):  # the first step reaches those who listen, the second the channels themselves
        network.zero_grad()
        network(x, 0.1).square().mean().backward()
        with torch.no_grad():
            for weight in network.parameters():
                weight -= 0.1 * weight.grad
    assert all(conv.weight.grad[DEAD].abs().max() > 0 for conv, _, _ in units)
