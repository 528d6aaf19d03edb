"""What a witness says against an answer."""

from __future__ import annotations

import numpy as np

from simdnn.core.witness import class_similarities, disagreement, usual_classes


def test_disagreement_equals_the_obvious_one() -> None:
    draw = np.random.default_rng(0)
    similarities, answers = draw.uniform(0.01, 0.99, (40, 5)), draw.integers(-1, 5, (40, 2))
    expected = []
    for row, given in zip(similarities, answers, strict=True):
        squared = [1 / s - 1 for s in row]
        ratios = [
            squared[a] / min(d for c, d in enumerate(squared) if c != a) for a in given.tolist() if a >= 0
        ]
        expected.append(np.log(max(ratios)) if ratios else 0.0)
    np.testing.assert_allclose(disagreement(similarities, answers), expected)


def test_one_wrong_answer_among_two_is_enough() -> None:
    sure = np.array([[0.9, 0.1, 0.1]])
    assert disagreement(sure, [[0, 0]])[0] < 0 < disagreement(sure, [[0, 2]])[0]
    assert disagreement(sure, [[0, 2]])[0] == disagreement(sure, [[2, -1]])[0]


def test_each_class_is_as_similar_as_its_best_prototype() -> None:
    similarities = np.array([[0.1, 0.4, 0.3], [0.9, 0.2, 0.6]])
    found = class_similarities(similarities, np.array(["a", "c", "a"]), np.array(["a", "b", "c"]))
    assert found.tolist() == [[0.3, 0.0, 0.4], [0.9, 0.0, 0.2]]


def test_an_output_stands_for_the_class_it_came_on_most() -> None:
    labels = np.array(["cat", "cat", "dog", "dog", "dog", "cat"])
    assert usual_classes([3, 3, 3, 2, 2, 0], labels, 5) == ("cat", "", "dog", "cat", "")
