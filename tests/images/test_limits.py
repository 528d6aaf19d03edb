"""Limits of what is read: pixels and bytes of an image, and pixels of all images at once."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from PIL import Image

from simdnn.errors import ImageReadError, InputError
from simdnn.images.limits import ReadLimits
from simdnn.images.reading import decoded, read_image


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_pixel_limit_is_the_callers() -> None:
    data = png(20, 10)
    assert read_image(data, max_pixels=200).size == (20, 10)
    with pytest.raises(ImageReadError, match=r"^expected at most 199 pixels, got 20 x 10$"):
        read_image(data, max_pixels=199)


def test_limits_are_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1))
    size = path.stat().st_size
    assert read_image(path, limits=ReadLimits(max_bytes=size)).size == (2, 1)
    with pytest.raises(ImageReadError, match=rf"^expected at most {size - 1} bytes, got {size}$"):
        read_image(path, limits=ReadLimits(max_bytes=size - 1))
    with pytest.raises(ImageReadError, match=r"^expected at most 1 pixels, got 2 x 1$"):
        read_image(path, limits=ReadLimits(max_pixels=1))
    with pytest.raises(InputError, match=r"^expected pixels_in_flight as a positive integer, got 0$"):
        ReadLimits(pixels_in_flight=0)


def test_threads_hold_no_more_pixels_at_once_than_the_limit() -> None:
    data = png(10, 10)
    limits = ReadLimits(pixels_in_flight=250)
    lock, most, inside = threading.Lock(), 0, 0
    pair = threading.Barrier(2)  # two pictures fit: both must be inside before one goes on

    def read() -> None:
        nonlocal most, inside
        with decoded(data, limits):
            with lock:
                inside += 1
                most = max(most, inside)
            pair.wait(60)
            with lock:
                inside -= 1

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert most == 2
    with decoded(data, ReadLimits(pixels_in_flight=1)) as alone:
        assert alone.size == (10, 10)
