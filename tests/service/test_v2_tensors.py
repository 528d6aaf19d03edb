"""Pixels in tensors of the Open Inference Protocol."""

from __future__ import annotations

import tracemalloc
from typing import Any, Literal

import numpy as np
import pytest

from simdnn.service.problems import Problem
from simdnn.service.v2_tensors import InputTensor, uploads_of


def tensor(data: list[Any], shape: list[int], kind: Literal["FP32", "UINT8"] = "FP32") -> InputTensor:
    return InputTensor(name="pixels", datatype=kind, shape=shape, data=data)


def test_nested_and_flat_lists_are_the_same_pixels() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 32
    for data in (values.tolist(), values.ravel().tolist(), values.reshape(6, 4).tolist()):
        uploads = uploads_of(tensor(data, [2, 3, 2, 2]), 4)
        np.testing.assert_array_equal(np.stack([upload.content for upload in uploads]), values)
        assert uploads[0].content.dtype == np.float32  # type: ignore[union-attr]
    levels = (values * 32).astype(int).tolist()
    (first, _) = uploads_of(tensor(levels, [2, 3, 2, 2], "UINT8"), 4)
    np.testing.assert_allclose(first.content, values[0] * 32 / 255, rtol=1e-6)  # type: ignore[arg-type]


def test_words_among_the_pixels_take_no_more_memory_than_they_have() -> None:
    k = 2000
    given = tensor(["a" * k] + ["b"] * k, [1, 1, 1, k + 1])
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="expected numbers") as refused:
            uploads_of(given, 4)
        assert tracemalloc.get_traced_memory()[1] < 100 * k
    finally:
        tracemalloc.stop()
    assert refused.value.status_code == 422


def test_a_shape_larger_than_its_data_is_refused_before_an_array_is_made() -> None:
    with pytest.raises(Problem, match=r"got 3$") as refused:
        uploads_of(tensor([0.5] * 3, [1, 1 << 20, 1 << 20, 1 << 20]), 4)
    assert refused.value.status_code == 422


def test_pixels_beyond_the_memory_are_413(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr(np, "array", full)
    with pytest.raises(Problem, match=r"fit into memory.*send them in parts") as refused:
        uploads_of(tensor([0.5] * 3, [1, 3, 1, 1]), 4)
    assert refused.value.status_code == 413
