"""Losses for training an auxiliary network under Gaussian noise.

Each loss takes the network, clean images (N, 3, H, W) in [0, 1], labels (N,) and the standard deviation of the noise,
and returns a scalar. Distillation needs the teacher, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from simdnn.training.head import head_of, with_features

NoiseLoss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
"""The type of the losses."""


def noise_loss(network: nn.Module, images: Tensor, labels: Tensor, sigma: float) -> Tensor:
    """Cross-entropy on one noisy draw of each image (Cohen, Rosenfeld and Kolter, 2019)."""
    return cross_entropy(network(_noisy(images, sigma)).float(), labels)


def consistency_loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    sigma: float,
    *,
    draws: int = 2,
    weight: float = 5.0,
    entropy: float = 0.5,
) -> Tensor:
    """Cross-entropy on several noisy draws of each image, plus consistency regularisation (Jeong and Shin, 2020).

    Parameters
    ----------
    network, images, labels, sigma
        As for all losses.
    draws
        Noisy draws of each image.
    weight, entropy
        See `consistency`.
    """
    noisy = _noisy(images.repeat(draws, 1, 1, 1), sigma)
    logits = network(noisy).float().view(draws, len(images), -1)
    return cross_entropy(logits.flatten(0, 1), labels.repeat(draws)) + consistency(logits, weight, entropy)


def consistency(logits: Tensor, weight: float, entropy: float) -> Tensor:
    """Return the consistency regulariser, averaged over images.

    With the softmax q_i of draw i and their mean q: ``weight`` times the mean of KL(q || q_i), plus ``entropy`` times
    the entropy of q, in nats.

    Parameters
    ----------
    logits
        Shape (draws, N, classes).
    weight, entropy
        Factors of the two terms.
    """
    logs = log_softmax(logits, dim=2)
    mean = logs.exp().mean(dim=0)
    log_mean = logs.logsumexp(dim=0) - torch.log(torch.tensor(float(len(logits))))
    divergence = (mean * (log_mean - logs)).sum(dim=2).mean()
    return weight * divergence - entropy * (mean * log_mean).sum(dim=1).mean()


def distillation_loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    sigma: float,
    *,
    teacher: nn.Module,
    weight: float = 1.0,
) -> Tensor:
    """Cross-entropy on one noisy draw of each image, plus distillation (Hinton, Vinyals and Dean, 2015).

    The teacher is the network before training, with all its outputs, on the clean image: what it knows of other classes
    is not unlearned, and few images teach less by heart.

    Parameters
    ----------
    network, images, labels, sigma
        As for all losses.
    teacher
        Images to logits (N, K), frozen; its last layer takes features of the width of the network's.
    weight
        Factor of the divergence of the teacher's outputs for the noisy image's features from those for the clean image.
    """
    logits, features = with_features(network, _noisy(images, sigma))
    loss = cross_entropy(logits.float(), labels)
    with torch.no_grad():
        wanted = log_softmax(teacher(images).float(), dim=1)
    found = log_softmax(head_of(teacher)(features).float(), dim=1)
    return loss + weight * kl_div(found, wanted, reduction="batchmean", log_target=True)


def smoothadv_loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    sigma: float,
    *,
    draws: int = 2,
    eps: float = 0.5,
    steps: int = 2,
) -> Tensor:
    """Cross-entropy on noisy draws of adversarial examples (SmoothAdv, Salman and others, 2019).

    Parameters
    ----------
    network, images, labels, sigma
        As for all losses.
    draws
        Noisy draws of each image, the same for the attack and for the loss.
    eps
        L2 radius of the attack, for pixels in [0, 1].
    steps
        Number of steps of the attack.
    """
    noise = sigma * torch.randn(draws, *images.shape, device=images.device)
    training = network.training
    network.eval()  # so that the attack does not change the statistics of the batch norms
    attacked = attack_smoothed(network, images, labels, noise, eps, steps)
    network.train(training)
    logits = network((attacked + noise).flatten(0, 1)).float()
    return cross_entropy(logits, labels.repeat(draws))


def attack_smoothed(
    network: nn.Module, images: Tensor, labels: Tensor, noise: Tensor, eps: float, steps: int
) -> Tensor:
    """Attack the smoothed network: reduce the true class's mean softmax over the given noise, within L2 radius ``eps``.

    Projected gradient ascent from the image itself, with steps of 2 eps / steps along the gradient.

    Parameters
    ----------
    network
        Images to logits (N, K).
    images, labels
        Shapes (N, 3, H, W), in [0, 1], and (N,).
    noise
        Shape (draws, N, 3, H, W).
    eps, steps
        Radius and number of steps.

    Returns
    -------
    Tensor
        Attacked images (N, 3, H, W) in [0, 1].
    """
    change = torch.zeros_like(images)
    for _ in range(steps):
        change.requires_grad_(True)
        logits = network((images + change + noise).flatten(0, 1)).float()
        logs = log_softmax(logits, dim=1).view(len(noise), len(images), -1).logsumexp(dim=0)
        loss = -logs.gather(1, labels.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(loss, change)
        change = (change.detach() + _unit(gradient) * (2 * eps / steps)).renorm(2, 0, eps)
        change = (images + change).clamp(0, 1) - images
    return images + change


def _noisy(images: Tensor, sigma: float) -> Tensor:
    return images + sigma * torch.randn_like(images)


def _unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to L2 norm 1; one that vanishes stays 0."""
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2, 3), keepdim=True)
    return gradient / norms.clamp_min(1e-12)


DISTILLATION = "distillation"
LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "noise": noise_loss,
    DISTILLATION: distillation_loss,
    "consistency": consistency_loss,
    "smoothadv": smoothadv_loss,
}
"""Losses by name."""
