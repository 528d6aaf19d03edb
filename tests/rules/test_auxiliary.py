"""How far an auxiliary network disagrees with a prediction."""

from __future__ import annotations

import numpy as np
import torch

from simdnn.rules.auxiliary import OutputClasses, disagreement, output_classes


def test_disagreement_equals_the_obvious_one() -> None:
    draw = np.random.default_rng(0)
    logits, predictions = draw.normal(size=(40, 5)), draw.integers(-1, 5, (40, 2))
    expected = []
    for row, given in zip(logits, predictions, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        leads = [max(q for c, q in enumerate(p) if c != a) - p[a] for a in given.tolist() if a >= 0]
        expected.append(max(leads) if leads else 0.0)
    np.testing.assert_allclose(disagreement(logits, list(predictions.T)), expected)
    columns = [torch.from_numpy(column) for column in predictions.T.copy()]
    np.testing.assert_allclose(disagreement(torch.from_numpy(logits), columns), expected)


def test_one_wrong_prediction_among_two_is_enough() -> None:
    sure = np.array([[4.0, 0.0, 0.0]])

    def found(*columns: int) -> float:
        return float(disagreement(sure, [np.array([column]) for column in columns])[0])

    assert found(0, 0) < 0 < found(0, 2)
    assert found(0, 2) == found(2, -1)


def test_each_class_has_the_best_of_its_outputs() -> None:
    logits = np.array([[0.1, 0.4, 0.3, 9.0], [0.9, 0.2, 0.6, 9.0]])
    known = OutputClasses(("a",), ("a", "c", "a", ""))
    assert known.classes == ("a", "c")
    assert known.of_classes(logits).tolist() == [[0.3, 0.4], [0.9, 0.2]]


def test_an_output_stands_for_the_class_it_came_on_most() -> None:
    labels = np.array(["cat", "cat", "dog", "dog", "dog", "cat"])
    assert output_classes([3, 3, 3, 2, 2, 0], labels, 5) == ("cat", "", "dog", "cat", "")


def test_disagreement_counts_the_network_and_the_nearest_prototype() -> None:
    known = OutputClasses(("cat", "", "dog"), ("dog", "cat"))
    for_dog = np.log([[0.9, 0.1]] * 3)
    predictions, nearest = np.array([2, 0, 1]), np.array([1, 1, 1])
    found = known.disagreement(for_dog, predictions, nearest, ["cat", "dog", "owl"])
    np.testing.assert_allclose(found, [-0.8, 0.8, -0.8])  # output 1 stands for nothing
