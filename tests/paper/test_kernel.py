"""Compilation, where there is a folder to keep its result and where there is none."""

from __future__ import annotations

from simdnn.paper.kernel import compiled


def test_a_function_is_compiled_where_nothing_can_be_kept() -> None:
    namespace: dict[str, object] = {}
    exec("def state(k):\n    return k + 1, 2 * k, k / 2", namespace)  # without a file, Numba finds no place
    state = namespace["state"]
    assert callable(state)
    assert compiled(state)(3) == (4, 6, 1.5)
