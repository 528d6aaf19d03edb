"""Whether two guards learned the same; networks run twice differ in the last digits."""

from __future__ import annotations

import numpy as np

from simdnn.guard.guard import Guard


def assert_learned_alike(one: Guard, other: Guard) -> None:
    """Compare prototypes and threshold."""
    ours, theirs = list(one.model.prototypes), list(other.model.prototypes)
    assert [(p.id, p.support, p.exemplar) for p in ours] == [(p.id, p.support, p.exemplar) for p in theirs]
    np.testing.assert_allclose([p.sigma for p in ours], [p.sigma for p in theirs], rtol=1e-5)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.vector, q.vector, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(one.threshold(), other.threshold(), rtol=1e-5)
