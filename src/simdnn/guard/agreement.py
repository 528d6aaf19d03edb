"""Do the network's predictions and the class folders mean the same? If not, its labels in verdicts mislead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.images.names import ClassNames, class_order
from simdnn.rules.output_classes import output_classes


def output_names(
    given: ClassNames | None, categories: Sequence[str] | None, labels: NDArray[np.str_], outputs: int
) -> tuple[str, ...] | None:
    """Return the names of a network's outputs: those given, its own, or the classes in order if they are as many.

    Parameters
    ----------
    given : names, which need not be complete where the network has its own
    categories : the network's own
    labels : (N,) classes of images
    outputs : number of outputs

    Raises
    ------
    InputError
        If an output lacks a name, or a name an output.

    >>> output_names(None, None, np.array(["10", "9", "9"]), 2)
    ('9', '10')
    """
    if given is not None:
        own = dict(enumerate(categories or ()))
        return ClassNames({**own, **given.by_output}, given.by_folder).outputs(outputs)
    if categories:
        return tuple(categories)
    classes = class_order(map(str, labels))
    return tuple(classes) if len(classes) == outputs else None


def doubt(
    names: Sequence[str] | None, labels: NDArray[np.str_], predictions: ArrayLike, outputs: int
) -> str | None:
    """Say why the names of a network's outputs look wrong for clean images; None if they look right.

    Parameters
    ----------
    names : of the outputs; by number if there are none
    labels, predictions : (N,) classes of the images, and the outputs that the network predicts
    outputs : number of outputs

    >>> doubt(("cat", "dog"), np.array(["cat", "dog", "dog"]), [1, 0, 0], 2).partition(";")[0]
    'the network predicts the class of the folder for 0% of the images that are learned'
    """
    named = np.array(names or [str(k) for k in range(outputs)])
    classes, predicted = set(map(str, labels)), np.asarray(predictions)
    if classes.isdisjoint(map(str, named)):
        usual = output_classes(predicted, labels, outputs)
        k = next(k for k, name in enumerate(usual) if name)
        return (
            "the network's outputs and the class folders have different names: "
            f"{str(named[k])!r} is mostly {usual[k]!r}; verdicts name both unless --names says which is which"
        )
    right = float((named[predicted] == labels).mean())
    if right >= 0.5:
        return None
    return (
        f"the network predicts the class of the folder for {right:.0%} of the images that are learned; if its outputs "
        "are in another order than the folders, say it by --names, and check the weights and the normalisation"
    )
