"""No test leaves PyTorch with other settings than it found."""

from __future__ import annotations

import torch
from tests.conftest import restored_torch_settings


def test_threads_and_default_type_are_put_back() -> None:
    before = torch.get_num_threads(), torch.get_default_dtype()
    with restored_torch_settings():
        torch.set_num_threads(before[0] + 1)
        torch.set_default_dtype(torch.float64)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before
