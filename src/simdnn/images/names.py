"""Names of classes: their order, and a file that maps the outputs of a network to names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simdnn.errors import InputError
from simdnn.images.table import table_rows


def class_order(names: Iterable[str]) -> list[str]:
    """Return the distinct names of classes in the order of a network's outputs.

    That is by number if all names are whole numbers, else as text, like torchvision's ``ImageFolder``.

    Examples
    --------
    >>> class_order(["10", "9", "2"]), class_order(["10", "9", "b"])
    (['2', '9', '10'], ['10', '9', 'b'])
    """
    distinct = set(names)
    if all(name.isdecimal() and name.isascii() for name in distinct):
        return sorted(distinct, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
    return sorted(distinct)


@dataclass(frozen=True)
class ClassNames:
    """Names of the outputs of a network, from a file read by `read_names`.

    Attributes
    ----------
    by_output
        Name of each output, by its number from 0.
    by_folder
        The same names by the label of the class: the name of its folder, or the ``label`` of a CSV file.
    """

    by_output: Mapping[int, str]
    by_folder: Mapping[str, str]

    def outputs(self, n: int) -> tuple[str, ...]:
        """Return the names of the n outputs of a network; InputError if names are missing, or there are more."""
        missing = [str(k) for k in range(n) if k not in self.by_output]
        extra = [str(k) for k in self.by_output if k >= n]
        if missing or extra:
            raise InputError(
                f"expected names of the outputs 0 to {n - 1} of the network, got none of {', '.join(missing[:5])}"
                if missing
                else f"expected names of the outputs 0 to {n - 1} of the network, got one of {extra[0]} as well"
            )
        return tuple(self.by_output[k] for k in range(n))

    def labels(self, folders: Sequence[str]) -> list[str]:
        """Return the name for each folder; InputError for a folder that is not in the file."""
        unknown = class_order(set(folders) - set(self.by_folder))
        if unknown:
            raise InputError(
                f"expected a name for each class in the file of names, got none for {', '.join(unknown[:5])}; add "
                "a line for each, or name the folders as the file does"
            )
        return [self.by_folder[folder] for folder in folders]


def read_names(path: Path) -> ClassNames:
    """Read a file that maps the outputs of a network to names.

    Parameters
    ----------
    path
        A CSV file in UTF-8 with the columns ``output``, the number of an output from 0, and ``name``. A column
        ``folder`` is needed if the folders of the classes have other names, such as WordNet ids. Further columns are
        ignored.

    Raises
    ------
    InputError
        If the file cannot be read, or a line lacks a value or repeats an output, a name or a folder; the message has
        the number of the line.
    """
    by_output: dict[int, str] = {}
    by_folder: dict[str, str] = {}
    names: set[str] = set()
    for line, (output, name, folder) in table_rows(path, ("output", "name"), optional=("folder",)):
        if not (output.isdecimal() and output.isascii() and len(output) < 10) or not name:
            raise InputError(
                f"{path}, line {line}: expected the number of an output and a name, got {output!r} and {name!r}"
            )
        number, label = int(output), folder or name
        if number in by_output or label in by_folder or name in names:
            raise InputError(
                f"{path}, line {line}: the output {number}, the name {name!r} or the folder {label!r} was given in "
                "an earlier line; each belongs to one class"
            )
        by_output[number] = by_folder[label] = name
        names.add(name)
    if not by_output:
        raise InputError(f"expected names of classes in {path}, got a header and no line below it")
    return ClassNames(by_output, by_folder)
