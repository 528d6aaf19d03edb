"""The image formats that are read."""

from __future__ import annotations

# A short list on purpose: decoders that are never called cannot be exploited. PostScript files are programs.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}

IMAGE_SUFFIXES: frozenset[str] = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Suffixes, in lower case, of the image files that are listed in a folder."""

_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"P4", b"P5", b"P6", b"II*\0", b"MM\0*")


def begins_like_image(data: bytes) -> bool:
    r"""Say whether bytes begin as those of an image format that is read, whatever follows.

    >>> begins_like_image(b"\x89PNG broken"), begins_like_image(b"%PDF-1.7")
    (True, False)
    """
    return data.startswith(_BEGINNINGS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}


def suffix_of(data: bytes) -> str:
    r"""Return the suffix of a file's name by how its bytes begin; ``.bin`` for what no browser shows.

    >>> suffix_of(b"\x89PNG..."), suffix_of(b"P6 ...")
    ('.png', '.bin')
    """
    return next((suffix for start, suffix in _SUFFIXES.items() if data.startswith(start)), ".bin")
