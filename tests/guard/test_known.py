"""What the auxiliary network learned does not calibrate."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tests.noisy_digits import digits_spec
from torch import nn

from simdnn.errors import InputError
from simdnn.guard.known import learned_by, without_learned
from simdnn.networks.auxiliary import AuxiliaryNetwork


def test_files_are_known_by_their_hashes(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    paths = [tmp_path / name for name in "abcd"]
    learned = tuple(sorted(sha256(name.encode()).hexdigest() for name in "bx"))
    network = AuxiliaryNetwork(nn.Identity(), replace(digits_spec(), learned=learned))
    assert learned_by(network, paths).tolist() == [False, True, False, False]
    assert not learned_by(None, paths).any()


def test_as_many_others_of_each_class_calibrate_instead() -> None:
    labels = np.repeat(["cat", "dog"], 10)
    out, known = np.zeros(20, dtype=bool), np.zeros(20, dtype=bool)
    out[[0, 1, 2, 10, 11, 12]] = True
    known[[0, 1, 5, *range(10, 18)]] = True
    found = without_learned(out, known, labels, 0)
    assert not (found & known).any()
    assert (found[:10].sum(), found[10:].sum()) == (3, 1)  # two dogs are left, and one is for the rule
    assert without_learned(out, ~out, labels, 0) is out


def test_none_left_is_an_error() -> None:
    out = np.array([True, False])
    with pytest.raises(InputError, match=r"has learned all 2 images.*larger --held-out"):
        without_learned(out, np.ones(2, dtype=bool), np.array(["cat", "cat"]), 0)
