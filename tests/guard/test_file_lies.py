"""Files with a valid digest whose content is nonsense: an error that says so, or a guard that works."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.guard.small import Content, content, use

from simdnn.errors import ImageReadError, InputError, ModelFileError
from simdnn.guard import file as guard_file
from simdnn.guard.arrays import SHAPES, UNSIGNED, VIEW_SHAPES
from simdnn.guard.guard import Guard

EXAMPLES = int(os.environ.get("SIMDNN_FUZZ", "1000"))

settings.register_profile(
    "mutated guards",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="SIMDNN_FUZZ" not in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

Lie = Callable[[dict[str, Any], dict[str, Any]], object]
Draw = Callable[[st.SearchStrategy[Any]], Any]


def told(folder: Path, lie: Lie) -> str:
    """Write a guard that lies with a valid digest; return what is said of it."""
    header, tensors = content(folder)
    lie(header, tensors)
    guard_file.write(folder / "lie.simdnn", header, tensors)
    with pytest.raises(ModelFileError) as caught:
        Guard.load(folder / "lie.simdnn")
    message = str(caught.value)
    assert message.startswith(f"{folder}/lie.simdnn lacks what a guard needs: ")
    assert message.endswith("; fit it again")
    return message


@pytest.mark.parametrize("name", [*SHAPES, *VIEW_SHAPES, "thumbnails", "thumbnail_ends"])
def test_each_tensor_is_needed_and_has_its_shape(tmp_path: Path, name: str) -> None:
    assert name in told(tmp_path, lambda header, tensors: tensors.pop(name))

    def wider(header: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[name] = tensors[name][..., None]

    def shorter(header: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[name] = tensors[name][:-1]

    told(tmp_path, wider)
    told(tmp_path, shorter)


@pytest.mark.parametrize("name", [*SHAPES, *VIEW_SHAPES])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300, -(2**62)])
def test_no_number_is_absurd(tmp_path: Path, name: str, number: float) -> None:
    def absurd(header: dict[str, Any], tensors: dict[str, Any]) -> None:
        if tensors[name].dtype.kind == "i":
            tensors[name].flat[0] = 2**62 if number > 0 else -(2**62)
        else:
            tensors[name] = tensors[name].astype(np.float64)
            tensors[name].flat[0] = number * (1 if name in UNSIGNED else 1e100)  # a feature may be -(2**62)

    told(tmp_path, absurd)


def as_type(kind: type) -> Lie:
    return lambda header, tensors: tensors.update(vectors=tensors["vectors"].astype(kind))


@pytest.mark.parametrize(
    "lie",
    [
        as_type(np.int64),
        as_type(np.bool_),
        lambda h, t: t.update(support=t["support"].astype(float)),
        lambda h, t: t.update(support=t["support"] * 0),
        lambda h, t: t.update(scatter=t["scatter"] - 1),
        lambda h, t: t.update(class_sizes=t["class_sizes"][::-1] + np.array([1, 0])),
        lambda h, t: t.update(class_sizes=np.array([-1, t["class_sizes"].sum() + 1])),
        lambda h, t: t.update(serials=t["serials"] * 0),
        lambda h, t: t.update(class_next_serials=t["class_next_serials"] * 0),
        lambda h, t: t.update(feature_min=t["feature_max"], feature_max=t["feature_min"]),
        lambda h, t: t.update(thumbnail_ends=t["thumbnail_ends"][::-1]),
        lambda h, t: t.update(thumbnail_ends=t["thumbnail_ends"] - 1000),
        lambda h, t: t.update(thumbnail_ends=t["thumbnail_ends"].astype(float)),
        lambda h, t: t.update(thumbnails=t["thumbnails"].astype(np.int16)),
        lambda h, t: h["networks"].clear(),
        lambda h, t: h.update(networks=[[]]),
        lambda h, t: h["networks"][0].pop("weights_hash"),
        lambda h, t: h["networks"][0].update(weights_hash=5),
        lambda h, t: h["networks"][0].update(categories=7),
        lambda h, t: h["networks"][0].update(categories=[1, 2]),
        lambda h, t: h["networks"][0]["spec"].update(name=["vgg16"]),
        lambda h, t: h["networks"][0]["spec"].update(weights={"a": 1}),
        lambda h, t: h["networks"][0]["spec"].update(layers=[None]),
        lambda h, t: h["networks"][0]["spec"].update(more=1),
        lambda h, t: h["networks"][0]["spec"]["preprocess"].update(size=[-1, 1e400]),
        lambda h, t: h["networks"][0]["spec"]["preprocess"].update(std=[0, 0, 0]),
        lambda h, t: h["training"].update(learned="many"),
        lambda h, t: h["training"].update(unreadable=[1]),
        lambda h, t: h["training"].pop("seed"),
        lambda h, t: h.update(classes=["cat", "cat"]),
        lambda h, t: h.update(classes=["cat", 7]),
        lambda h, t: h.update(classes=["cat"]),
        lambda h, t: h.update(corruption=["blurred"]),
        lambda h, t: h.update(image_sha256=[0] * 15),
        lambda h, t: h["settings"].update(rule="nonsense"),
        lambda h, t: h["settings"].update(rule=["similarity"]),
        lambda h, t: h["settings"].update(alpha=float("nan")),
        lambda h, t: h["settings"].update(alpha="0.1"),
        lambda h, t: h["settings"].update(sigma="own"),
        lambda h, t: h["settings"].update(m=None),
        lambda h, t: h["settings"].update(m=1e400),
        lambda h, t: h["settings"].update(seed=1e400),
        lambda h, t: h["settings"].update(n_neighbours=3),
        lambda h, t: h["exemplars"].clear(),
        lambda h, t: h.update(exemplars=[]),
        lambda h, t: h["exemplars"].update({next(iter(h["exemplars"])): 5}),
        lambda h, t: h["exemplars"].update({"-1": h["exemplars"].popitem()[1]}),
        lambda h, t: h.update(rule="much"),
        lambda h, t: h["settings"].pop("alpha"),
        lambda h, t: h["settings"].update(alpha=1e-320),
        lambda h, t: h.update(classes=["cat", "dog\x00"]),
        lambda h, t: h.update(views=[]),
        lambda h, t: h["views"][0].pop("angle"),
        lambda h, t: h.update(views="many"),
        lambda h, t: h.update(views=h["views"] * 5),
        lambda h, t: h["views"][0].update(right="1"),
        lambda h, t: h["views"][0].update(mirror=1),
        lambda h, t: h["views"][0].update(angle=1e400),
        lambda h, t: h["views"][0].update(left=1),
        lambda h, t: h["rule"]["lines"]["label"].update(deviation=0),
        lambda h, t: h["rule"].pop("opinion"),
        lambda h, t: h["rule"]["opinion"].update(names=[1, 2]),
        lambda h, t: h["rule"]["opinion"]["names"].pop(),
        lambda h, t: h["rule"]["opinion"].update(outputs=[0, 0]),
        lambda h, t: h["rule"]["opinion"].update(outputs=[0, 2]),
        lambda h, t: h["rule"]["opinion"].update(columns=[0, 3]),
        lambda h, t: h["rule"]["opinion"].update(columns=[True, 0]),
        lambda h, t: h["rule"]["scale"]["values"].pop(),
        lambda h, t: h["rule"]["scale"]["shares"].reverse(),
        lambda h, t: h["rule"]["scale"]["values"].reverse(),
        lambda h, t: h["rule"]["scale"]["values"].__setitem__(0, float("nan")),
        lambda h, t: h["auxiliary"].update(secret="short"),
        lambda h, t: h["auxiliary"].update(draws=0),
        lambda h, t: h["auxiliary"].update(draws=9),
        lambda h, t: h["auxiliary"].update(classes=["cat", "dog"]),
        lambda h, t: h["auxiliary"].update(classes=["cat", "cat", "dog"]),
        lambda h, t: h["rule"]["lines"].pop("margin"),
        lambda h, t: h["rule"]["scales"].update(distance=1e400),
        lambda h, t: h.update(auxiliary=None),
        lambda h, t: h["networks"].pop(),
        lambda h, t: h.clear(),
    ],
)
def test_each_lie_is_told(tmp_path: Path, lie: Lie) -> None:
    told(tmp_path, lie)


def test_a_thumbnail_that_is_no_picture(tmp_path: Path) -> None:
    header, tensors = content(tmp_path)
    tensors["thumbnails"][:] = 0
    guard_file.write(tmp_path / "g.simdnn", header, tensors)
    guard = Guard.load(tmp_path / "g.simdnn")
    shown = guard.exemplar(next(iter(guard.model.prototypes)).exemplar)
    with pytest.raises(ImageReadError, match="expected an image"):
        _ = shown.picture


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content(tmp_path_factory.mktemp("seed"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated") / "g.simdnn"


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, below in inner for deeper in paths(below, (*path, key)))]


ABSURD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\ud800",
    [],
    {},
    [[]],
)
NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 2**62, -(2**63), np.nan, np.inf, -np.inf, 1e-320, 1e38, 1e99, 1e308)
KINDS = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u8", "?")


def mutate_header(draw: Draw, header: dict[str, Any]) -> None:
    if not header:
        return
    path = draw(st.sampled_from(paths(header)[1:]))
    parent: Any = reduce(lambda value, key: value[key], path[:-1], header)
    match draw(st.sampled_from(("set", "drop", "repeat", "move"))):
        case "set":
            parent[path[-1]] = draw(st.sampled_from(ABSURD))
        case "drop":
            del parent[path[-1]]
        case "repeat" if type(parent) is list:
            parent.extend(parent * draw(st.integers(0, 2)))
        case "move" if type(parent) is dict:
            parent[draw(st.text(max_size=3))] = parent.pop(path[-1])


def mutate_tensors(draw: Draw, tensors: dict[str, Any]) -> None:
    if not tensors:
        return
    name = draw(st.sampled_from(sorted(tensors)))
    array = tensors[name]
    with np.errstate(all="ignore"):
        match draw(st.sampled_from(("set", "set", "drop", "type", "cut", "grow", "turn", "swap"))):
            case "set" if array.size:
                at, number = draw(st.integers(0, array.size - 1)), draw(st.sampled_from(NUMBERS))
                array.flat[at] = np.array(number).astype(array.dtype)
            case "drop":
                del tensors[name]
            case "type":
                tensors[name] = array.astype(draw(st.sampled_from(KINDS)))
            case "cut":
                tensors[name] = array[: draw(st.integers(0, len(array)))] if array.ndim else array
            case "grow":
                tensors[name] = np.concatenate([array, array]) if array.ndim else array[None]
            case "turn":
                tensors[name] = array.T if array.ndim > 1 else array[None]
            case "swap":
                tensors[name] = tensors[draw(st.sampled_from(sorted(tensors)))]


def mutate_bytes(draw: Draw, raw: bytes) -> bytes:
    """Damage the file itself, which the digest must notice."""
    data = bytearray(raw)
    at = draw(st.sampled_from(range(len(data))))
    match draw(st.sampled_from(("flip", "cut", "remove", "insert"))):
        case "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        case "cut":
            del data[at:]
        case "remove":
            del data[at : at + draw(st.integers(1, 64))]
        case "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=32))
    return bytes(data)


@settings(settings.get_profile("mutated guards"))
@given(data=st.data())
def test_a_mutated_guard_gives_an_error_or_a_guard_that_works(
    seed: Content, place: Path, data: st.DataObject
) -> None:
    header, tensors = deepcopy(seed)
    kinds = data.draw(st.lists(st.sampled_from((mutate_header, mutate_tensors)), max_size=3))
    for mutate in kinds:
        mutate(data.draw, header if mutate is mutate_header else tensors)
    raw = guard_file.encode(header, tensors)
    damaged = raw if kinds else mutate_bytes(data.draw, raw)
    place.write_bytes(damaged)

    message = said_of(place)
    event(message.removeprefix(str(place))[:60])
    assert message.isprintable()
    assert damaged == raw or "altered" in message or "no guard file" in message


def said_of(path: Path) -> str:
    """Return the error of a file, or of the guard in it, or what stands for a guard that works."""
    try:
        guard = Guard.load(path)
    except ModelFileError as error:
        return str(error)
    try:
        use(guard)
    except InputError as error:
        return f"a guard that says: {error}"
    return "a guard"
