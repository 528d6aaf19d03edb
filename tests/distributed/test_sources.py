"""Images by path, by URL and in Parquet tables: the same names, classes and bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tests.distributed.conftest import on
from tests.guard.networks import digits_backbone

from simdnn.distributed.cluster import Cluster
from simdnn.distributed.sources import FileSource, Named, ParquetSource, UrlSource, find_source
from simdnn.errors import InputError
from simdnn.images.files import labelled_images
from simdnn.networks.extractor import Extractor

pyarrow = pytest.importorskip("pyarrow", reason="needs simdnn[ray]")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def table(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of some classes, in an order of its own, with numbers as ids."""
    paths, labels = labelled_images(digits / "train")
    rows = np.random.default_rng(0).permutation(len(paths))[:70].tolist()
    content = {
        "id": [100 + row for row in rows],
        "bytes": [paths[row].read_bytes() for row in rows],
        "label": [labels[row] for row in rows],
    }
    path = tmp_path_factory.mktemp("table") / "photos.parquet"
    parquet.write_table(pyarrow.table(content), path, row_group_size=16)
    return path


def test_a_url_of_files_lists_what_the_folder_lists(digits: Path) -> None:
    pytest.importorskip("fsspec")
    url = f"file://{digits / 'train'}"
    source, files = find_source([url], labelled=True), find_source([digits / "train"], labelled=True)
    assert isinstance(source, UrlSource)
    assert isinstance(files, FileSource)
    assert [name.removeprefix("file://") for name in map(str, source.names)] == list(map(str, files.names))
    assert list(source.labels) == list(files.labels)
    content, path = source.read(source.names[0]), files.read(files.names[0])
    assert isinstance(path, Path)
    assert content == path.read_bytes()
    assert find_source([Path(url)], labelled=True).names == source.names  # a path has lost one slash
    with pytest.raises(InputError, match="expected every image in a class folder"):
        _ = find_source([f"file://{digits / 'train' / '3'}"], labelled=True).names
    with pytest.raises(InputError, match="got none"):
        _ = find_source(["memory://nothing"], labelled=True).names


def test_a_table_names_its_rows_by_id(table: Path, tmp_path: Path) -> None:
    source = find_source([table], labelled=True)
    assert isinstance(source, ParquetSource)
    assert isinstance(source.names[0], Named)
    assert (len(source.names), len(set(source.labels))) == (70, 10)
    content = source.read(source.names[3])
    assert isinstance(content, bytes)
    assert content.startswith(b"\x89PNG")
    twice = tmp_path / "twice.parquet"
    parquet.write_table(pyarrow.table({"id": ["a", "a"], "bytes": [b"", b""]}), twice)
    with pytest.raises(InputError, match=r"expected a different id in each row .* 'a' twice"):
        _ = find_source([twice], labelled=False).names
    parquet.write_table(pyarrow.table({"id": ["a"]}), twice)
    with pytest.raises(InputError, match="got no bytes"):
        _ = find_source([twice], labelled=False).names


def test_a_missing_label_is_no_class(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "bytes": [b"", b""], "label": ["cat", None]}), path)
    assert find_source([path], labelled=True).labels == ["cat", ""]


@pytest.mark.parametrize("kind", ["files", "url", "memory", "table"])
def test_a_stamp_changes_with_the_content(kind: str, tmp_path: Path) -> None:
    def write(content: bytes) -> None:
        if kind == "table":
            columns = {"id": ["a", "b"], "bytes": [b"same", content]}
            parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
        elif kind == "memory":
            pytest.importorskip("fsspec").filesystem("memory").pipe_file("/stamps/a.png", content)
        else:
            (tmp_path / "a.png").write_bytes(content)

    named: dict[str, Path | str] = {
        "files": tmp_path,
        "url": f"file://{tmp_path}",
        "memory": "memory://stamps",
        "table": tmp_path / "t.parquet",
    }

    def stamps() -> list[str]:
        source = find_source([named[kind]], labelled=False)
        return source.stamps(source.names)

    write(b"one")
    before = stamps()
    assert before == stamps()
    assert all(before)
    write(b"other")
    assert stamps() != before
    assert FileSource([tmp_path], labelled=False).stamps([tmp_path / "absent"]) == [""]


@pytest.mark.parametrize("kind", ["table", "url"])
def test_features_are_those_of_one_process_in_the_order_asked_for(
    kind: str, cluster: Cluster, digits: Path, table: Path, tmp_path: Path
) -> None:
    backbone = digits_backbone(digits)
    extractor = on(cluster, backbone, table, tmp_path)
    if kind == "url":
        extractor.source = find_source([f"file://{digits / 'test' / '0'}"], labelled=False)
    names = list(extractor.source.names)[5:45]
    read = [extractor.source.read(name) for name in names]
    found = extractor.extract(names)
    expected = Extractor([backbone]).extract(read)
    assert found.positions.tolist() == expected.positions.tolist() == list(range(len(names)))
    assert found.image_sha256 == expected.image_sha256
    assert_allclose(found.features, expected.features, atol=1e-5)
