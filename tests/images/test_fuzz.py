"""Mutated image files: each gives a picture or one clear line, and nothing else.

``SIMDNN_FUZZ=10000`` asks for as many examples; without it there are about a thousand.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from simdnn.errors import ImageReadError
from simdnn.images.reading import read_image

EXAMPLES = int(os.environ.get("SIMDNN_FUZZ", "1000"))
MAX_PIXELS = 10_000

settings.register_profile(
    "mutated files",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="SIMDNN_FUZZ" not in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def seeds() -> list[bytes]:
    """Small valid files of all formats, modes and compressions that the reader knows."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (12, 17, 3), dtype=np.uint8))
    clear = Image.fromarray(rng.integers(0, 256, (12, 17, 4), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (12, 17), dtype=np.uint16))
    real = Image.fromarray(rng.random((12, 17), dtype=np.float32))
    grey, cmyk, indexed, bits = (colour.convert(mode) for mode in ("L", "CMYK", "P", "1"))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description that lies outside of its entry"
    pages: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90), colour]}
    wanted: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *[(image, "JPEG", {"exif": exif.tobytes()}) for image in (colour, grey, cmyk)],
        *[(image, "JPEG", {"progressive": True, "comment": "x"}) for image in (colour, grey)],
        *[(image, "PNG", {"exif": exif.tobytes()}) for image in (colour, clear, grey, deep, indexed, bits)],
        *[(indexed, kind, {"transparency": 3}) for kind in ("PNG", "GIF")],
        *[(colour, kind, pages) for kind in ("GIF", "PNG", "WEBP", "TIFF")],
        *[(image, "BMP", {}) for image in (colour, clear, indexed, bits)],
        *[(image, "PPM", {}) for image in (colour, grey, deep, bits, real)],
        *[
            (image, "TIFF", {"exif": exif})
            for image in (colour, clear, grey, deep, real, cmyk, indexed, bits)
        ],
        *[(colour.convert(mode), "TIFF", {}) for mode in ("YCbCr", "LAB")],
        *[(colour, "TIFF", {"compression": f"tiff_{name}"}) for name in ("lzw", "adobe_deflate", "jpeg")],
        (colour, "TIFF", {"compression": "packbits"}),
        (bits, "TIFF", {"compression": "group4"}),
        *[(image, "WEBP", {"lossless": lossless}) for image in (colour, clear) for lossless in (False, True)],
    ]
    files = []
    for image, kind, options in wanted:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


SEEDS = seeds()
TELLING = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\x01",
    b"\xff\xda",
    b"\x80",
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a valid file and damage it one to four times."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(range(len(data) + 1)))  # uniform, while integers() prefers the header
        match draw(st.sampled_from(("flip", "set", "tell", "cut", "remove", "insert", "repeat", "splice"))):
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set" if place < len(data):
                data[place] = draw(st.integers(0, 255))
            case "tell":
                new = draw(st.sampled_from(TELLING))
                data[place : place + len(new)] = new
            case "cut":
                del data[place:]
            case "remove":
                del data[place : place + draw(st.integers(1, 64))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=32))
            case "repeat":
                data[place:place] = data[place : place + 64] * draw(st.integers(1, 8))
            case "splice":
                other = draw(st.sampled_from(SEEDS))
                data[place:] = other[draw(st.sampled_from(range(len(other)))) :]
    return bytes(data)


@settings(settings.get_profile("mutated files"))
@given(data=mutated())
def test_a_mutated_file_gives_a_picture_or_one_clear_line(data: bytes) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            image = read_image(data, max_pixels=MAX_PIXELS)
        except ImageReadError as error:
            message = str(error)
            event(message.split(":")[0].split(",")[0][:60])
            assert message.strip()
            assert message.isprintable()
            assert len(message) < 400
        else:
            event("read")
            assert image.mode == "RGB"
            assert 0 < image.width * image.height <= MAX_PIXELS
            assert np.asarray(image).shape == (image.height, image.width, 3)
    assert heard == []


def test_the_files_that_are_mutated_are_sound() -> None:
    for data in SEEDS:
        assert read_image(data, max_pixels=MAX_PIXELS).size in {(17, 12), (12, 17)}
