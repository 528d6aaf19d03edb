"""Commands of the lab without the libraries that they need."""

from __future__ import annotations

import sys

import pytest

from simdnn.cli.libraries import lab_libraries
from simdnn.errors import InputError


def test_a_missing_library_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_ood", None)
    told = r"this command needs pytorch_ood; pip install 'simdnn\[lab\]'"
    with pytest.raises(InputError, match=told), lab_libraries():
        import pytorch_ood  # noqa: F401


def test_any_other_missing_module_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), lab_libraries():
        __import__("no_such_module")
