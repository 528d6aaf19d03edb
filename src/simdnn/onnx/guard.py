"""Guards read from ONNX files, without PyTorch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from simdnn.errors import ModelFileError
from simdnn.guard.guard import Guard
from simdnn.onnx import file
from simdnn.onnx.sessions import session_of
from simdnn.onnx.stream import OnnxStream, OnnxVoter

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def load_onnx(path: Path | str, *, device: str | None = None) -> Guard:
    """Read a guard that :func:`simdnn.onnx.export.export_onnx` wrote; it judges images by ONNX Runtime.

    What needs the PyTorch network itself, such as attacks on it or another calibration, needs the guard file.

    Parameters
    ----------
    path : the file
    device : where the networks run, cpu or cuda; default cpu

    Raises
    ------
    ModelFileError
        If the file is damaged, of another version or no guard.
    InputError
        If ONNX Runtime is not installed, or has no such device.
    """
    name = str(path)
    session = session_of(file.read(Path(path)), name, device)
    contents = file.Contents.of(session.get_modelmeta().custom_metadata_map, name)
    return guard_by(session, contents, name, device)


def guard_by(
    session: InferenceSession, contents: file.Contents, name: str, device: str | None = None
) -> Guard:
    """Return the guard whose graph a session runs; ``name`` is for errors, which are those of :func:`load_onnx`."""
    guard = Guard.decode(contents.guard, name)
    if bool(contents.auxiliary) != (guard.auxiliary is not None):
        raise ModelFileError(f"{name} does not fit the guard in it; export it again")
    voter = None
    if contents.auxiliary:
        make = partial(session_of, contents.auxiliary, f"the auxiliary network in {name}", device)
        try:
            voter = OnnxVoter(make, **contents.voter)
        except TypeError as error:
            raise ModelFileError(f"{name} lacks what a guard needs: {error}; export it again") from error
    preprocesses = [record.spec.preprocess for record in guard.networks]
    guard.use(
        OnnxStream(session, guard.rule.views, preprocesses, contents.n_features, contents.n_classes, voter)
    )
    return guard
