"""The order of classes, and files that say which output of a network is which class."""

from __future__ import annotations

from pathlib import Path

import pytest

from simdnn.errors import InputError
from simdnn.images.names import class_order, read_names


def test_numbers_are_in_their_order_and_texts_in_theirs() -> None:
    assert class_order(str(k) for k in range(11, -1, -1)) == [str(k) for k in range(12)]
    assert class_order(["007", "10", "7", "10"]) == ["007", "7", "10"]
    assert class_order(["10", "2", "-1"]) == ["-1", "10", "2"]
    assert class_order(["n02102040", "n01440764"]) == ["n01440764", "n02102040"]
    assert class_order([]) == []
    assert class_order(["1" + "0" * 9000, "9" * 9000]) == ["9" * 9000, "1" + "0" * 9000]


def table(folder: Path, text: str) -> Path:
    path = folder / "classes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_outputs_and_folders(tmp_path: Path) -> None:
    names = read_names(
        table(tmp_path, "output,name,folder\n1,English springer,n02102040\n0,tench,n01440764\n2,church,\n")
    )
    assert names.outputs(3) == ("tench", "English springer", "church")
    assert names.labels(["n01440764", "church", "n01440764"]) == ["tench", "church", "tench"]
    with pytest.raises(InputError, match=r"^expected names of the outputs 0 to 4 .*, got none of 3, 4$"):
        names.outputs(5)
    with pytest.raises(InputError, match=r"^expected names of the outputs 0 to 1 .*, got one of 2 as well$"):
        names.outputs(2)
    with pytest.raises(InputError, match=r"got none for n03, tench; add a line for each"):
        names.labels(["tench", "church", "n03"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "output,folder\n",
            "expected a CSV with the columns output,name, got {} with the header 'output,folder'",
        ),
        (
            "output,name,name\n",
            "expected a CSV with the columns output,name, got {} with 2 columns 'name'; remove all but one",
        ),
        ("output,name\n", "expected names of classes in {}, got a header and no line below it"),
        ("output,name\n-1,a\n", "{}, line 2: expected the number of an output and a name, got '-1' and 'a'"),
        ("output,name\n0,\n", "{}, line 2: expected the number of an output and a name, got '0' and ''"),
        (
            "output,name\n0,a\n1,a\n",
            "{}, line 3: the output 1, the name 'a' or the folder 'a' was given in an earlier line; "
            "each belongs to one class",
        ),
        (
            "output,name,folder\n0,a,x\n00,b,y\n",
            "{}, line 3: the output 0, the name 'b' or the folder 'y' was given in an earlier line; "
            "each belongs to one class",
        ),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_names(path)
    assert str(caught.value) == message.format(path)
