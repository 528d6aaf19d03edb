from __future__ import annotations

from pathlib import Path

import pytest

from simdnn.errors import InputError
from simdnn.images.files import find_images, labelled_images, search_images


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in [
        "b/2.JPG",
        "b/10.png",
        "a/x.jpeg",
        "a/deep/y.tif",
        "a/.hidden.png",
        "a/.git/z.png",
        "a/notes.txt",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_folders_are_searched_in_order_and_files_taken_as_named(tree: Path) -> None:
    (tree / "b" / "up").symlink_to(tree)
    found = find_images([tree / "a" / "notes.txt", tree])
    assert names(found, tree) == ["a/notes.txt", "a/deep/y.tif", "a/x.jpeg", "b/10.png", "b/2.JPG"]


def test_a_link_to_a_folder_is_followed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    new = tmp_path_factory.mktemp("new")
    (new / "linked").symlink_to(tree / "b")
    assert names(find_images([new]), new) == ["linked/10.png", "linked/2.JPG"]


def test_what_is_passed_over_is_listed(tree: Path) -> None:
    for name in ("a/IMG_1.HEIC", "a/upload", "b/c.avif"):
        (tree / name).touch()
    found = search_images([tree])
    assert names(found.images, tree) == ["a/deep/y.tif", "a/x.jpeg", "b/10.png", "b/2.JPG"]
    assert names(found.passed_over, tree) == [
        "a/.git",
        "a/.hidden.png",
        "a/IMG_1.HEIC",
        "a/notes.txt",
        "a/upload",
        "b/c.avif",
    ]
    assert names(
        search_images([tree / "a" / "upload", tree / "a" / "notes.txt", tree]).passed_over, tree
    ) == [
        "a/.git",
        "a/.hidden.png",
        "a/IMG_1.HEIC",
        "b/c.avif",
    ]


def test_each_file_is_listed_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
        (folder / "1.png").touch()
    for folder in folders:
        for other in folders:
            (folder / f"to_{other.name}").symlink_to(other)
    (tmp_path / "a" / "0.png").symlink_to(tmp_path / "b" / "1.png")
    expected = ["a/1.png", "b/1.png", "c/1.png", "d/1.png"]
    assert names(find_images([tmp_path]), tmp_path) == expected
    assert names(find_images([tmp_path, tmp_path / "a", tmp_path / "b" / "to_c"]), tmp_path) == expected
    assert names(find_images([tmp_path / "d" / "1.png", tmp_path]), tmp_path) == ["d/1.png", *expected[:3]]


def test_a_linked_file_from_elsewhere_is_listed_once(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    new = tmp_path_factory.mktemp("new")
    for name in ("2.png", "1.png"):
        (new / name).symlink_to(tree / "b" / "10.png")
    assert names(find_images([new]), new) == ["1.png"]


def test_finding_nothing_is_an_error(tree: Path) -> None:
    (tree / "c").mkdir()
    with pytest.raises(InputError, match=r"^expected images \(\.apng \.bmp .* \.webp\), got none in .*/c$"):
        find_images([tree / "c"])
    with pytest.raises(InputError, match="got none in an empty list of paths"):
        find_images([])
    with pytest.raises(InputError, match=r"expected a file or folder, got .*/d, which does not exist"):
        find_images([tree / "a", tree / "d"])


def test_a_folder_of_class_folders_gives_labels(tree: Path) -> None:
    (tree / "readme.md").touch()
    (tree / ".cache").mkdir()
    paths, labels = labelled_images(tree)
    assert names(paths, tree) == ["a/deep/y.tif", "a/x.jpeg", "b/10.png", "b/2.JPG"]
    assert labels == ["a", "a", "b", "b"]


def test_class_folders_that_do_not_fit_are_refused(tree: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected every image in .*/a to lie in a class folder, got 1 beside them"
    ):
        labelled_images(tree / "a")
    (tree / "a" / "x.jpeg").unlink()
    (tree / "a" / "deep" / "y.tif").unlink()
    with pytest.raises(
        InputError,
        match=r"in each class folder, got none in .*/a, but 3 other files, such as \.git; add some or remove it",
    ):
        labelled_images(tree)
    with pytest.raises(InputError, match=r"expected one subfolder per class in .*/deep, got none"):
        labelled_images(tree / "a" / "deep")
    with pytest.raises(
        InputError, match=r"one subfolder per class, or a CSV, got .*/none, which does not exist"
    ):
        labelled_images(tree / "none")


def test_numbered_classes_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    assert labelled_images(tmp_path)[1] == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("parts", "given", "listed"),
    [
        (("train", "val"), "train", "train, val"),
        (("Test", "Training", "annotations"), "Training", "Test, Training"),
        (("train",), "train", "train"),
        (("test", "validation"), "test", "test, validation"),
    ],
)
def test_parts_of_a_data_set_are_no_classes(
    tmp_path: Path, parts: tuple[str, ...], given: str, listed: str
) -> None:
    for part in parts:
        (tmp_path / part / "cat").mkdir(parents=True)
        (tmp_path / part / "cat" / "x.png").touch()
    with pytest.raises(InputError) as caught:
        labelled_images(tmp_path)
    assert str(caught.value) == (
        f"expected one subfolder per class in {tmp_path}, got {listed}, which look like parts of a data set; "
        f"give {tmp_path / given}"
    )


def test_a_train_among_vehicles_is_a_class(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    assert labelled_images(tmp_path)[1] == ["bus", "train"]


@pytest.mark.parametrize("hard", [False, True])
def test_a_file_under_two_labels_is_refused(tree: Path, hard: bool) -> None:
    link = tree / "b" / "z.png"
    if hard:
        link.hardlink_to(tree / "a" / "x.jpeg")
    else:
        link.symlink_to(tree / "a" / "x.jpeg")
    with pytest.raises(
        InputError, match=r"in one class folder, got .*/a/x\.jpeg again as .*/b/z\.png; remove one of the two"
    ):
        labelled_images(tree)
    table = tree / "labels.csv"
    table.write_text("path,label\na/x.jpeg,a\nb/z.png,b\n")
    with pytest.raises(InputError, match=r"line 3: b/z\.png was named in line 2; remove one of the two"):
        labelled_images(table)


def test_a_csv_gives_labels(tree: Path) -> None:
    table = tree / "labels.csv"
    text = f'label,path,source\r\nlion,b/2.JPG,me\r\n\r\n big cat ,"{tree}/a/x.jpeg",you\r\n'
    table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    paths, labels = labelled_images(table)
    assert names(paths, tree) == ["b/2.JPG", "a/x.jpeg"]
    assert labels == ["lion", "big cat"]


WANTED = "expected a folder with one subfolder per class, or a CSV with the columns path,label, got {csv}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", WANTED + " with the header ''"),
        ("path;label\nb/2.JPG;x\n", WANTED + " with the header 'path;label'"),
        ("path,label,label\n", WANTED + " with 2 columns 'label'; remove all but one"),
        ("path,label\n", "expected labelled images in {csv}, got a header and no line below it"),
        ("path,label\nb/2.JPG,x\nx.png,\n", "{csv}, line 3: expected a path and a label, got 'x.png' and ''"),
        ("path,label\n,x\n", "{csv}, line 2: expected a path and a label, got '' and 'x'"),
        ("path,label\nb/2.JPG\n", "{csv}, line 2: expected a path and a label, got 'b/2.JPG' and ''"),
        (
            "path,label\n\nb/3.JPG,x\n",
            "{csv}, line 3: expected a file, got {tree}/b/3.JPG, which does not exist or is a folder",
        ),
        (
            "path,label\nb,x\n",
            "{csv}, line 2: expected a file, got {tree}/b, which does not exist or is a folder",
        ),
        (
            "path,label\nb/2.JPG,x\nb/10.png,x\na/../b/2.JPG,y\n",
            "{csv}, line 4: a/../b/2.JPG was named in line 2; remove one of the two",
        ),
        (
            "path,label\na,b/2.JPG,x\n",
            "{csv}, line 2: expected 2 values, got more; put a value with a comma in quotation marks",
        ),
        (
            "path,label\n\udcff,x\n",
            WANTED + ", which is no CSV text in UTF-8: "
            "'utf-8' codec can't decode byte 0xff in position 11: invalid start byte",
        ),
        (
            'path,label\n"b/2.JPG"x,y\n',
            WANTED + ", which is no CSV text in UTF-8: ',' expected after '\"'",
        ),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_by_line(tree: Path, text: str, message: str) -> None:
    table = tree / "labels.csv"
    table.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        labelled_images(table)
    assert str(caught.value) == message.format(csv=table, tree=tree)
