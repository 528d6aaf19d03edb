"""The images on which a guarded network is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EvaluationImages:
    """Clean images to attack, all on the CPU.

    Attributes
    ----------
    images, labels : (N, 3, H, W) in [0, 1], and (N,) the true outputs
    guides, guide_labels : (M, 3, H, W) clean images whose features the attacker may match, and (M,) their outputs
    radii : (N,) certified L2 radii, for a detector with a certificate
    """

    images: Tensor
    labels: Tensor
    guides: Tensor
    guide_labels: Tensor
    radii: Tensor | None = None

    def check_certificate(self, attacked: Tensor, evaded: Tensor, rows: Tensor) -> None:
        """Check that no attack evades network and detector within a certified radius.

        Parameters
        ----------
        attacked, evaded : (n, 3, H, W) attacked images, and (n,) whether they do
        rows : (n,) indices of the images that they were made from

        Raises
        ------
        AssertionError
            If one does: a fault in the certificate, or the luck of the rule's draws, about 1 in 1000 for each try.
        """
        if self.radii is None:
            return
        norms = (attacked - self.images[rows]).flatten(1).norm(dim=1)
        broken = torch.nonzero(evaded & (norms < self.radii[rows])).flatten().tolist()
        assert not broken, "attacks evade the detector within certified radii: " + ", ".join(
            f"image {int(rows[i])} at {float(norms[i]):.3f}, certified up to {float(self.radii[rows[i]]):.3f}"
            for i in broken
        )
