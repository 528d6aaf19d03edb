"""The rule of docs/extending.md works as written, from fitting to a saved guard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.guard.networks import digits_backbone

from simdnn.attacks.adaptive.module import GuardedNetwork
from simdnn.digits import read_digits
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor
from simdnn.rules import registry
from simdnn.rules.rule import Rule

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> type[Rule]:
    """Return the class of the page, entered in the registry."""
    (code,) = re.findall(r"```python\n(from simdnn.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    kind: type[Rule] = names["FeatureNorm"]
    monkeypatch.setattr(registry, "RULES", {**registry.RULES, kind.name: kind})
    return kind


def test_a_rule_of_ones_own(digits: Path, rule: type[Rule], tmp_path: Path) -> None:
    Guard.fit(digits / "train", Extractor([digits_backbone(digits)]), rule=rule.name).save(tmp_path / "g")
    guard = Guard.load(tmp_path / "g")
    _, images, _ = read_digits(digits / "test")
    verdicts = guard.check_tensors(images[::6])
    assert {verdict.rule for verdict in verdicts} == {"feature-norm"}
    assert sum(verdict.verdict == "attack" for verdict in verdicts) < 0.2 * len(verdicts)


def test_it_has_a_gradient(digits: Path, rule: type[Rule]) -> None:
    guard = Guard.fit(digits / "train", Extractor([digits_backbone(digits)]), rule=rule.name)
    _, images, _ = read_digits(digits / "test")
    few = images[:5].requires_grad_(True)
    (gradient,) = torch.autograd.grad(GuardedNetwork(guard)(few).score.sum(), few)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
