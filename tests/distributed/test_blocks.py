"""What actors send back arrives as it was, and goes back to the images that it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.guard.networks import digits_backbone

from simdnn.distributed.blocks import Block, joined
from simdnn.distributed.sources import find_source
from simdnn.images.files import find_images
from simdnn.images.shifts import Shift
from simdnn.networks.batch import ROWS
from simdnn.networks.extractor import Extractor
from simdnn.networks.prepare import Copy


def test_a_block_comes_back_as_it_was_and_falls_into_its_images(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"none")
    paths = [*find_images([digits / "test" / "1"])[:4], tmp_path / "broken.png"]
    stream = Extractor([digits_backbone(digits)]).stream(
        paths, views=(Shift(right=1),), copies={1: Copy("blurred", 0)}, pixels=True, keep_bytes=True
    )
    (batch,) = stream
    ids = tuple(map(str, paths))
    back = Block.decode(Block(ids, batch).encode())
    assert back.ids == ids
    for name in ROWS:
        assert_array_equal(getattr(back.batch, name), getattr(batch, name), strict=True)
    assert (back.batch.corruption, back.batch.errors) == (batch.corruption, batch.errors)
    assert back.batch.image_bytes == batch.image_bytes
    assert_array_equal(np.asarray(back.batch.pixels), np.asarray(batch.pixels))

    images = dict(back.images())
    assert list(images) == list(ids)
    assert images[ids[1]].corruption == ("", "blurred")
    assert images[ids[4]].errors == {0: batch.errors[4]}
    whole = joined([images[name].placed(np.array([i])) for i, name in enumerate(ids)])
    assert_array_equal(whole.positions, batch.positions)
    assert_array_equal(whole.view_features, batch.view_features)
    assert_array_equal(np.asarray(whole.pixels), np.asarray(batch.pixels))
    assert (whole.errors, whole.image_bytes) == (batch.errors, batch.image_bytes)


def test_bytes_that_are_no_block() -> None:
    with pytest.raises((ValueError, KeyError)):
        Block.decode(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")


def test_one_table_at_a_time() -> None:
    from simdnn.errors import InputError

    with pytest.raises(InputError, match="expected one Parquet file or folder"):
        find_source(["a.parquet", "b.parquet"], labelled=False)
