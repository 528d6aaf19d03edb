"""What a witness says against an answer."""

from __future__ import annotations

import numpy as np

from simdnn.rules.disagreement import class_logits, disagreement, usual_classes


def test_disagreement_equals_the_obvious_one() -> None:
    draw = np.random.default_rng(0)
    logits, answers = draw.normal(size=(40, 5)), draw.integers(-1, 5, (40, 2))
    expected = []
    for row, given in zip(logits, answers, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        leads = [max(q for c, q in enumerate(p) if c != a) - p[a] for a in given.tolist() if a >= 0]
        expected.append(max(leads) if leads else 0.0)
    np.testing.assert_allclose(disagreement(logits, answers), expected)


def test_one_wrong_answer_among_two_is_enough() -> None:
    sure = np.array([[4.0, 0.0, 0.0]])
    assert disagreement(sure, [[0, 0]])[0] < 0 < disagreement(sure, [[0, 2]])[0]
    assert disagreement(sure, [[0, 2]])[0] == disagreement(sure, [[2, -1]])[0]


def test_each_class_has_the_best_of_its_outputs() -> None:
    logits = np.array([[0.1, 0.4, 0.3, 9.0], [0.9, 0.2, 0.6, 9.0]])
    assert class_logits(logits, ["a", "c", "a", ""], ["a", "c"]).tolist() == [[0.3, 0.4], [0.9, 0.2]]


def test_an_output_stands_for_the_class_it_came_on_most() -> None:
    labels = np.array(["cat", "cat", "dog", "dog", "dog", "cat"])
    assert usual_classes([3, 3, 3, 2, 2, 0], labels, 5) == ("cat", "", "dog", "cat", "")
