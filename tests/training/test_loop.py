from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.small import small_network
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simdnn.errors import InputError
from simdnn.networks.auxiliary import untrained
from simdnn.training import loop
from simdnn.training.loop import Epoch, Settings, train

CPU = torch.device("cpu")
SETTINGS = Settings(epochs=4, batch_size=8, rate=0.05)


def stripes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(40) % 2
    lines = torch.arange(8).view(1, 1, 8, 1) % 2 * torch.ones(40, 3, 1, 8)
    images = torch.where(labels.view(-1, 1, 1, 1) == 1, lines, lines.transpose(2, 3))
    return images + 0.1 * torch.rand(images.shape, generator=generator), labels


def loss(network: nn.Module, rows: Tensor) -> Tensor:
    images, labels = stripes()
    return cross_entropy(network(images[rows] + 0.1 * torch.randn(len(rows), 3, 8, 8)).float(), labels[rows])


class StoppedError(Exception):
    pass


def test_a_run_that_is_stopped_and_goes_on_gives_the_weights_of_one_that_never_was(tmp_path: Path) -> None:
    whole = train(small_network(), 40, loss, SETTINGS, device=CPU)

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise StoppedError

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(StoppedError):
        train(small_network(), 40, loss, SETTINGS, device=CPU, checkpoint=checkpoint, on_epoch=stop)
    seen: list[int] = []
    resumed = train(
        small_network(seed=5),  # its weights come from the checkpoint
        40,
        loss,
        SETTINGS,
        device=CPU,
        checkpoint=checkpoint,
        on_epoch=lambda epoch: seen.append(epoch.number),
    )
    assert seen == [3, 4]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train(small_network(), 40, loss, SETTINGS, device=CPU)
    assert torch.equal(torch.rand(4), expected)


def test_it_learns_and_tells_its_progress() -> None:
    told: list[tuple[int, int]] = []
    epochs: list[Epoch] = []
    settings = Settings(epochs=10, batch_size=16, rate=0.1)
    network = train(
        small_network(),
        40,
        loss,
        settings,
        device=CPU,
        progress=lambda *numbers: told.append(numbers),
        on_epoch=epochs.append,
    )
    images, labels = stripes()
    assert (network(images).argmax(dim=1) == labels).float().mean() > 0.9
    assert epochs[-1].loss < epochs[0].loss
    assert told == [(16 * step, 320) for step in range(1, 21)]  # of 40 rows, 8 wait for the next epoch


def test_the_result_is_the_running_mean_of_the_weights(tmp_path: Path) -> None:
    """One step an epoch, so that the checkpoints show all weights; the share kept grows up to `average`."""
    checkpoint = tmp_path / "checkpoint"
    weights: list[Tensor] = []

    def note(_: Epoch) -> None:
        found = torch.load(checkpoint, weights_only=True)
        weights.append(found["states"]["network"]["head.weight"])

    settings = Settings(epochs=6, batch_size=40, rate=0.1, average=0.3)
    result = train(small_network(), 40, loss, settings, device=CPU, checkpoint=checkpoint, on_epoch=note)
    mean = weights[0]
    for n, value in enumerate(weights[1:], 1):
        kept = min(0.3, (1 + n) / (10 + n))
        mean = kept * mean + (1 - kept) * value
    assert torch.allclose(result.get_parameter("head.weight"), mean, atol=1e-6)
    assert not torch.allclose(mean, weights[-1], atol=1e-4)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    train(small_network(), 40, loss, SETTINGS, device=CPU, checkpoint=checkpoint, identity={"sigma": 0.25})
    with pytest.raises(InputError, match=r"another training: its sigma is 0.25, not 0.5; give the same"):
        train(small_network(), 40, loss, SETTINGS, device=CPU, checkpoint=checkpoint, identity={"sigma": 0.5})


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(b"something else")
    with pytest.raises(InputError, match="something else or a damaged file; remove it to start anew"):
        train(small_network(), 40, loss, SETTINGS, device=CPU, checkpoint=checkpoint)


@pytest.mark.parametrize("settings", [(0, 8, 0.1), (1, 1, 0.1), (1, 8, 0.0), (1, 8, float("nan"))])
def test_settings_that_cannot_train_are_refused(settings: tuple[int, int, float]) -> None:
    with pytest.raises(InputError, match="expected at least 1 epoch, batches of at least 2"):
        Settings(*settings)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(InputError, match="expected the optimizer 'sgd' or 'adamw', got 'lion'"):
        train(small_network(), 40, loss, Settings(1, 8, 0.1, optimizer="lion"), device=CPU)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    def broken(network: nn.Module, rows: Tensor) -> Tensor:
        return loss(network, rows) * float("nan")

    with pytest.raises(InputError, match=r"the loss became nan in epoch 1; give a learning rate below 0.05"):
        train(small_network(), 40, broken, SETTINGS, device=CPU, checkpoint=tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    ("name", "computes_in"), [("resnet18", torch.bfloat16), ("shufflenet_v2_x0_5", torch.float32)]
)
def test_networks_with_depthwise_convolutions_train_in_float32_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, name: str, computes_in: torch.dtype
) -> None:
    monkeypatch.setattr(loop, "has_bfloat16", lambda _: True)
    seen: list[torch.dtype] = []

    def told(network: nn.Module, rows: Tensor) -> Tensor:
        logits: Tensor = network(torch.rand(len(rows), 3, 32, 32))
        seen.append(logits.dtype)
        return logits.float().sum()

    train(untrained(name, 2), 2, told, Settings(epochs=1, batch_size=2, rate=0.01), device=CPU)
    assert seen == [computes_in]
