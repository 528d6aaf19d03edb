"""Images of the plane network of the tests of attacks, by their distances from what an attacker seeks."""

from __future__ import annotations

import torch
from tests.attacks.adaptive.plane import at

from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages

IMAGES = torch.cat([at(0.3, 0.2), at(0.5, 0.45), at(0.7, 0.9), at(0.7, 0.1)])
"""At L-inf distances 0.3, 0.1, 0 (misclassified and unflagged), and 0.4."""
CLEAN = EvaluationImages(IMAGES, torch.zeros(4, dtype=torch.long), at(0.9, 0.9), torch.tensor([1]))
