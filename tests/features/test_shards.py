"""Both kinds of shards give the same rows, and what is no shard is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.features.examples import digits, write_npy

from simdnn.errors import InputError
from simdnn.features.shards import Block, Shards


def rows(shards: Shards, size: int = 64 * 4 * 100) -> tuple[np.ndarray, list[str], list[str]]:
    blocks: list[Block] = list(shards.blocks(size))
    assert [block.start for block in blocks] == np.cumsum([0, *(len(b.features) for b in blocks)])[
        :-1
    ].tolist()
    labels = [label for block in blocks if block.labels is not None for label in block.labels.tolist()]
    return np.vstack([block.features for block in blocks]), labels, [name for b in blocks for name in b.ids]


def test_npy_shards_in_the_order_of_their_names(tmp_path: Path) -> None:
    samples, labels = digits()
    shards = Shards(write_npy(tmp_path / "shards", samples, labels))
    assert (shards.rows, shards.width) == samples.shape
    found, given, ids = rows(shards)
    assert_array_equal(found, samples)
    assert given == labels.tolist()
    assert ids[:2] == ["part-0.npy:0", "part-0.npy:1"]
    assert shards.ids_of(np.array([600, 0])) == ["part-1.npy:1", "part-0.npy:0"]


def test_ids_and_numbers_as_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2), dtype=np.float16))
    np.save(tmp_path / "a.labels.npy", np.array([1, 2, 10]))
    np.save(tmp_path / "a.ids.npy", np.array(["x", "y", "z"]))
    shards = Shards(tmp_path / "a.npy")
    found, given, ids = rows(shards)
    assert found.dtype == np.float32
    assert (given, ids, shards.ids_of(np.array([2]))) == (["1", "2", "10"], ["x", "y", "z"], ["z"])


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet(tmp_path: Path, fixed: bool) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs simdnn[parquet]")
    parquet = pytest.importorskip("pyarrow.parquet")
    samples, labels = digits()
    kind = pyarrow.list_(pyarrow.float32(), 64) if fixed else pyarrow.list_(pyarrow.float32())
    for number, part in enumerate(np.array_split(np.arange(len(samples)), 2)):
        columns = {
            "label": pyarrow.array(labels[part].tolist()),
            "features": pyarrow.array(samples[part].tolist(), type=kind),
            "id": pyarrow.array([f"image {row}" for row in part]),
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{number}.parquet", row_group_size=150)
    found, given, ids = rows(Shards(tmp_path))
    assert_array_equal(found, samples)
    assert (given, ids[-1]) == (labels.tolist(), "image 1796")
    ragged = pyarrow.table({"features": pyarrow.array([[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]])})
    parquet.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(InputError, match="expected 2 numbers in each row"):
        rows(Shards(tmp_path / "ragged.parquet"))
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="expected a column features"):
        Shards(tmp_path / "other.parquet")


def test_what_is_no_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of features"):
        Shards(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"expected \.npy or \.parquet files of features in .*, got none"):
        Shards(tmp_path)
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    np.save(tmp_path / "b.npy", np.ones((3, 4)))
    with pytest.raises(InputError, match="expected 2 features in each shard"):
        Shards(tmp_path)
    np.save(tmp_path / "b.npy", np.ones((3, 2)))
    np.save(tmp_path / "b.labels.npy", np.ones(3, dtype=int))
    with pytest.raises(InputError, match=r"none for .*a\.npy"):
        _ = Shards(tmp_path).labels
    np.save(tmp_path / "a.labels.npy", np.ones(2, dtype=int))
    with pytest.raises(InputError, match="expected 3 labels in"):
        _ = Shards(tmp_path).labels
    np.save(tmp_path / "b.npy", np.ones((3, 2), dtype=int))
    with pytest.raises(InputError, match="expected floating-point features"):
        Shards(tmp_path)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(InputError, match="cannot be read as an array"):
        Shards(tmp_path)
    (tmp_path / "c.parquet").touch()
    with pytest.raises(InputError, match="got both"):
        Shards(tmp_path)
