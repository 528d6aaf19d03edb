from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from simdnn.errors import ImageReadError
from simdnn.images.files import find_images
from simdnn.images.pixels import _warn_of_unscaled_pixels
from simdnn.images.reading import read_image

BLACK, WHITE, RED, GREEN = [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]
FORMATS = "JPEG, PNG, GIF, BMP, PPM, TIFF, WEBP"


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> list[list[list[int]]]:
    image = read_image(data)
    assert image.mode == "RGB"
    rows: list[list[list[int]]] = np.asarray(image).tolist()
    return rows


def row(mode: str, *values: Any) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def deep(*values: float, kind: type[np.generic] = np.uint16) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=kind))


def palette(*colours: list[int]) -> Image.Image:
    image = row("P", *range(len(colours)))
    image.putpalette([value for colour in colours for value in colour])
    return image


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(*tags: tuple[int, int], data: bytes = b"") -> bytes:
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag in (273, 324) else v) for tag, v in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


COLOURS = row("RGB", (255, 0, 0), (1, 2, 3))
TABLE = {
    "rgb bmp": (encode(COLOURS, "BMP"), [RED, [1, 2, 3]]),
    "rgb ppm": (encode(COLOURS, "PPM"), [RED, [1, 2, 3]]),
    "rgb png": (encode(COLOURS, "PNG"), [RED, [1, 2, 3]]),
    "rgb tiff lzw": (encode(COLOURS, "TIFF", compression="tiff_lzw"), [RED, [1, 2, 3]]),
    "rgb webp": (encode(COLOURS, "WEBP", lossless=True), [RED, [1, 2, 3]]),
    "grey png": (encode(row("L", 0, 7, 255), "PNG"), [BLACK, [7, 7, 7], WHITE]),
    "grey jpeg": (encode(row("L", 7, 7), "JPEG", quality=100), [[7, 7, 7], [7, 7, 7]]),
    "1 bit png": (encode(row("1", 0, 255), "PNG"), [BLACK, WHITE]),
    "1 bit tiff": (encode(row("1", 0, 255), "TIFF", compression="group4"), [BLACK, WHITE]),
    "1 bit ppm": (encode(row("1", 0, 255), "PPM"), [BLACK, WHITE]),
    "grey alpha": (encode(row("LA", (9, 255), (0, 0), (0, 127)), "PNG"), [[9, 9, 9], WHITE, [128, 128, 128]]),
    "rgba png": (
        encode(row("RGBA", (1, 2, 3, 255), (255, 0, 0, 0), (255, 0, 0, 51)), "PNG"),
        [[1, 2, 3], WHITE, [255, 204, 204]],
    ),
    "rgba webp": (
        encode(row("RGBA", (1, 2, 3, 255), (255, 0, 0, 0)), "WEBP", lossless=True, exact=True),
        [[1, 2, 3], WHITE],
    ),
    "rgba tiff": (encode(row("RGBA", (1, 2, 3, 255), (255, 0, 0, 0)), "TIFF"), [[1, 2, 3], WHITE]),
    "palette": (encode(palette(RED, GREEN), "PNG"), [RED, GREEN]),
    "palette, one clear": (encode(palette(RED, GREEN), "PNG", transparency=0), [WHITE, GREEN]),
    "palette, alpha each": (
        encode(palette(RED, GREEN), "PNG", transparency=b"\x33\xff"),
        [[255, 204, 204], GREEN],
    ),
    "gif": (encode(palette(RED, GREEN), "GIF"), [RED, GREEN]),
    "gif, one clear": (encode(palette(RED, GREEN), "GIF", transparency=1), [RED, WHITE]),
    "rgb, one colour clear": (encode(COLOURS, "PNG", transparency=(1, 2, 3)), [RED, WHITE]),
    "grey, one level clear": (encode(row("L", 7, 8), "PNG", transparency=7), [WHITE, [8, 8, 8]]),
    "cmyk tiff": (encode(row("CMYK", (0, 255, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)), "TIFF"), [RED, BLACK, WHITE]),
    "cmyk jpeg, inverted as Adobe does": (
        encode(Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "JPEG", quality=100),
        [RED, RED],
    ),
    "ycbcr tiff": (encode(row("YCbCr", (128, 128, 128), (255, 128, 128)), "TIFF"), [[128, 128, 128], WHITE]),
    "16 bit grey png": (encode(deep(0, 255, 256, 65535), "PNG"), [BLACK, BLACK, [1, 1, 1], WHITE]),
    "16 bit grey tiff": (encode(deep(0, 255, 256, 65535), "TIFF"), [BLACK, BLACK, [1, 1, 1], WHITE]),
    "16 bit grey ppm": (encode(deep(0, 255, 256, 65535), "PPM"), [BLACK, BLACK, [1, 1, 1], WHITE]),
    "16 bit big-endian tiff": (
        b"MM\0*" + encode(deep(0), "TIFF")[:0] + struct.pack(">IH", 8, 7)
        + b"".join(
            struct.pack(">HHII", tag, 4, 1, value)
            for tag, value in [(256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 98), (279, 4)]
        )
        + bytes(4) + b"\x01\xff\xff\xff",
        [[1, 1, 1], WHITE],
    ),
    "16 bit grey tiff, white is 0": (encode(deep(0, 65535), "TIFF", tiffinfo={262: 0}), [WHITE, BLACK]),
    "16 bit grey png, one level clear": (encode(deep(256, 65535), "PNG", transparency=256), [WHITE, WHITE]),
    "16 bit rgb png": (
        png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 65535, 0, 0x1234, 255, 256, 257)),
        [[255, 0, 0x12], [0, 1, 1]],
    ),
    "16 bit grey alpha png": (png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0x5234, 65535, 9, 0)), [[82] * 3, WHITE]),
    "12 bit grey tiff": (
        tiff((256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 0), (279, 3), data=b"\xff\xf0\x10"),
        [WHITE, [1, 1, 1]],
    ),
    "float tiff": (encode(deep(0, 0.5, 1, kind=np.float32), "TIFF"), [BLACK, [128, 128, 128], WHITE]),
    "grey ppm, 2 levels": (b"P5 2 1 1\n\x00\x01", [BLACK, WHITE]),
    "12 bit grey ppm": (b"P5 2 1 4095\n\x0f\xff\x08\x00", [WHITE, [128, 128, 128]]),
    "16 bit black png": (encode(deep(0, 0), "PNG"), [BLACK, BLACK]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_every_mode_becomes_the_rgb_that_a_person_sees(name: str) -> None:
    data, expected = TABLE[name]
    assert pixels(data) == [expected]


def test_16_bit_colour_with_a_transparent_colour_is_refused() -> None:
    rows = b"\0" + struct.pack(">6H", 0x1200, 0x1200, 0x1200, 0x12FF, 0x12FF, 0x12FF)
    with pytest.raises(ImageReadError, match="expected 16-bit colour without a transparent colour"):
        read_image(png(2, 1, 16, 2, rows, chunk(b"tRNS", struct.pack(">3H", 0x1200, 0x1200, 0x1200))))


def test_lab_becomes_rgb() -> None:
    data = encode(row("LAB", (0, 128, 128), (255, 128, 128), (138, 209, 198)), "TIFF")
    np.testing.assert_allclose(np.asarray(read_image(data)), [[BLACK, WHITE, RED]], atol=6)


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF lzw"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {
        "JPEG": {"exif": exif.tobytes()},
        "PNG": {"exif": exif.tobytes()},
        "WEBP": {"exif": exif.tobytes(), "lossless": True},
        "TIFF": {"exif": exif},
        "TIFF lzw": {"exif": exif, "compression": "tiff_lzw"},
    }
    data = encode(image, kind.split()[0], **options[kind])
    stored = (
        np.asarray(Image.open(io.BytesIO(encode(image, "JPEG")))) if kind == "JPEG" else np.asarray(image)
    )
    np.testing.assert_array_equal(np.asarray(read_image(data)), TURNS[orientation](stored))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_picture_of_several_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(data) == [[RED] * 3] * 2


def test_a_picture_with_damaged_exif_is_read_upright_without_a_warning() -> None:
    image = Image.new("RGB", (16, 8), "red")
    cut = b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0\x01\0\0\0"
    data = encode(image, "JPEG", exif=cut, quality=100)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        Image.open(io.BytesIO(data)).getexif()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert read_image(data).size == (16, 8)
    assert heard == []


def test_warnings_of_other_threads_are_heard_while_images_are_read() -> None:
    data = encode(Image.new("RGB", (16, 8)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01")
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                read_image(data)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    read_image(data)
    for reader in readers:
        reader.start()
    try:
        for _ in range(200):
            with pytest.raises(UserWarning, match="heard"):
                warnings.warn("heard", UserWarning, stacklevel=1)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []


def test_the_state_of_pillow_is_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_image(encode(COLOURS, "PNG"), max_pixels=2)
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.raises(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(png(10_000, 10_000, 8, 0, b"")))


def test_a_picture_for_which_pillow_warns_is_read() -> None:
    image = Image.new("1", (10_000, 9_000), 1)
    assert read_image(encode(image, "TIFF", compression="group4")).size == (10_000, 9_000)


WHOLE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
DAMAGED = "the image is truncated, damaged or of an unknown kind: "
UNKNOWN = f"expected an image ({FORMATS}), got something else or a damaged header"
FLOATS = "expected floating-point pixels in [0, 1], got others; save the image with 8 or 16 bits"
INTEGERS = (
    "expected unsigned pixels of at most 16 bits, got signed or 32-bit ones, for which no white is defined; "
    "save the image with 8 or 16 bits"
)
SCAN = bytes.fromhex("ffda0008010100013f107ffe7ffe")
PLAIN = "expected a binary PBM, PGM or PPM file, got one in plain text, which takes too long to read; save it as PNG"
TINY_PARTS = "expected an image, got one in so many tiny parts that it would take too long"
JPEG = encode(Image.new("RGB", (8, 8)), "JPEG")
GIF = encode(Image.new("L", (8, 8)), "GIF")
PNG = png(8, 8, 8, 0, bytes(72))
WEBP_OF_34_BYTES = bytes.fromhex("524946461a000000574542505650384c0e0000002ffe7fef08071011fd0f4444ff03")
MANY_SCANS = encode(Image.new("L", (4000, 4000)), "JPEG", progressive=True)[:-2] + SCAN * 1000 + b"\xff\xd9"
VAST_TILE = tiff(
    *[(256, 9), (257, 9), (258, 8), (259, 8), (262, 1), (322, 30_000), (323, 30_000), (324, 0), (325, 4)],
    data=bytes(4),
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"dear diary\n", UNKNOWN),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNKNOWN),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UNKNOWN),
        (encode(WHOLE, "GIF")[:9], UNKNOWN),
        (encode(deep(0, 2, kind=np.float32), "TIFF"), FLOATS),
        (encode(deep(0, np.nan, kind=np.float32), "TIFF"), FLOATS),
        (encode(deep(0, 1, kind=np.int32), "TIFF"), INTEGERS),
        (png(15_000, 10_001, 8, 2, b""), "expected at most 150,000,000 pixels, got 15,000 x 10,001"),
        (png(50_000, 50_000, 8, 2, b""), "expected at most 150,000,000 pixels, got more than Pillow accepts"),
        (VAST_TILE, "expected tiles of at most 150,000,000 pixels, got 30,000 x 30,000"),
        (WEBP_OF_34_BYTES, "expected at most 50,000,000 pixels in such a WEBP file, got 16,383 x 9,150"),
        (b"P5 3000 2000 77\n", "expected at most 5,000,000 pixels in such a PPM file, got 3,000 x 2,000"),
        (b"P2\n1 1\n255\n" + b"#\n" * 9 + b"1", PLAIN),
        (b"P1#\n1 1 1", PLAIN),
        (b"P5\n#" + b" " * 12_000 + b"\n1 1 255\n\0", TINY_PARTS),
        (JPEG[:2] + b"\xff\xfe\0\2" * 10_000 + JPEG[2:], TINY_PARTS),
        (JPEG[:2] + b"\xff" * 20_000 + JPEG[2:], TINY_PARTS),
        (GIF[:-1].replace(b",", b"!\xfe" + b"\1x" * 10_000 + b"\0,", 1), TINY_PARTS),
        (
            PNG[:33]
            + (struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))) * 9_000
            + PNG[33:],
            TINY_PARTS,
        ),
        (MANY_SCANS, "expected a JPEG of about ten scans, got 1,006, which would take too long"),
    ],
)
def test_what_is_no_image_or_too_large_says_so(data: bytes, message: str) -> None:
    with pytest.raises(ImageReadError) as caught:
        read_image(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP"])
def test_a_truncated_file_says_so_in_one_line(kind: str) -> None:
    data = encode(WHOLE, kind)
    assert read_image(data).size == WHOLE.size
    with pytest.raises(ImageReadError) as caught:
        read_image(data[: len(data) * 3 // 4])
    message = str(caught.value)
    assert message.startswith(DAMAGED)
    assert "\n" not in message
    if kind not in {"TIFF", "WEBP"}:
        assert "image file is truncated" in message


def test_paths_that_are_no_files_say_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    with (tmp_path / "vast.png").open("wb") as file:
        file.truncate((1 << 30) + 1)
    for path, message in {
        tmp_path / "none.png": "the file does not exist",
        tmp_path / "empty.png": "the file is empty",
        tmp_path: "expected a file, got a folder",
        tmp_path / "pipe.png": "expected a file, got a pipe or a device",
        Path("/dev/null"): "expected a file, got a pipe or a device",
        tmp_path / "vast.png": "expected at most 268,435,456 bytes, got 1,073,741,825",
        tmp_path / "empty.png" / "x.png": "the file cannot be read: Not a directory",
        tmp_path / ("x" * 300): "the file cannot be read: File name too long",
        Path("null\0.png"): "the file cannot be read: embedded null byte",
    }.items():
        with pytest.raises(ImageReadError) as caught:
            read_image(path)
        assert str(caught.value) == message


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode(COLOURS, "PNG"))
    path.chmod(0)
    with pytest.raises(ImageReadError, match=r"^the file cannot be read: Permission denied$"):
        read_image(path)


def test_real_photographs_are_read_as_pillow_reads_them(data: Path) -> None:
    for path in find_images([data / "imagenette224"])[::1000]:
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        np.testing.assert_array_equal(np.asarray(read_image(path)), expected)


@pytest.mark.parametrize(
    "data",
    [
        encode(deep(5, 4095), "PNG"),
        encode(deep(5, 16383), "TIFF"),
        b"P5 1 1 65535\n\x03\xff",
        png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 100, 4095, 0)),
    ],
)
def test_dark_pixels_of_16_bits_are_read_as_they_are_and_said_once(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_of_unscaled_pixels.cache_clear()
    assert max(np.asarray(read_image(data)).max() for _ in range(3)) < 64
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no value reaches a quarter of white" in record.getMessage()


def test_bright_pixels_of_16_bits_need_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_unscaled_pixels.cache_clear()
    assert np.asarray(read_image(encode(deep(5, 16_384), "PNG"))).max() == 64
    assert caplog.records == []
