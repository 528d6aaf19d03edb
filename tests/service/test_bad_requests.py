"""Every kind of bad request is refused with a clear message, and the service answers a good one after it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from tests.service.conftest import Service, Start

JSON = {"Content-Type": "application/json"}
Bad = Callable[[bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def limited(start_module: Start) -> Service:
    """A service with low limits, which all rows of the table ask."""
    return start_module(max_body=200_000, max_parts=4, max_pixels=250_000, queue=8)


def png_header(width: int, height: int) -> bytes:
    """A PNG of some bytes that says it has that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def encoded(kind: str, size: tuple[int, int] = (32, 32), **options: Any) -> bytes:
    content = BytesIO()
    Image.new("RGB", size, "grey").save(content, kind, **options)
    return content.getvalue()


def raw(data: bytes, kind: str = "image/png", **extra: Any) -> dict[str, Any]:
    return {"content": data, "headers": {"Content-Type": kind}, **extra}


def form(*files: tuple[str, Any], **extra: Any) -> dict[str, Any]:
    return {"files": list(files), **extra}


def infer(**body: Any) -> dict[str, Any]:
    return {
        "path": "/v2/models/guard/infer",
        "content": json.dumps(body),
        "headers": {"Content-Type": "application/json"},
    }


def pixels(
    shape: tuple[int, ...] = (1, 3, 32, 32), kind: str = "FP32", value: Any = 0.5, n: int = 3072
) -> dict[str, Any]:
    return one(datatype=kind, shape=list(shape), data=[value] * n)


def one(**tensor: Any) -> dict[str, Any]:
    given = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}
    return infer(inputs=[given | tensor])


def change(file: str) -> dict[str, Any]:
    return {"path": MODEL, "json": {"file": file}}


BOUNDED = "multipart/form-data; boundary=x"
EARLY = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc'
NAMELESS = b"--x\r\nContent-Type: image/png\r\n\r\nabc\r\n--x--\r\n"
CHECK, BATCH = "/v1/check", "/v1/check/batch"
MODEL = "/v1/model"

TABLE: dict[str, tuple[int, str, Bad]] = {
    "no body": (415, "got no content type", lambda p: {}),
    "an empty body": (422, "got nothing", lambda p: raw(b"")),
    "JSON for an image": (415, "got application/json", lambda p: raw(b"{}", "application/json")),
    "text for an image": (415, "got text/plain", lambda p: raw(p, "text/plain")),
    "a form of the other kind": (415, "x-www-form-urlencoded", lambda p: {"data": {"image": "x"}}),
    "a document": (415, "expected an image", lambda p: raw(b"%PDF-1.7 " + p, "application/octet-stream")),
    "an icon": (415, "expected an image", lambda p: raw(encoded("ICO"), "image/x-icon")),
    "a PostScript program": (
        415,
        "expected an image",
        lambda p: raw(b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/eps"),
    ),
    "an SVG": (415, "expected an image", lambda p: raw(b"<svg xmlns='x'/>", "image/svg+xml")),
    "a PPM in plain text": (
        415,
        "in plain text",
        lambda p: raw(b"P3 1 1 255 0 0 0", "image/x-portable-pixmap"),
    ),
    "random bytes": (415, "expected an image", lambda p: raw(bytes(range(256)))),
    "a PNG that ends early": (422, "truncated", lambda p: raw(p[:200])),
    "a PNG of a header alone": (422, "damaged", lambda p: raw(p[:12])),
    "a JPEG that ends early": (422, "truncated", lambda p: raw(encoded("JPEG", (300, 300))[:700])),
    "a JPEG's first bytes": (422, "damaged header", lambda p: raw(b"\xff\xd8\xff")),
    "a damaged GIF": (422, "damaged", lambda p: raw(b"GIF89a" + b"\xff" * 40)),
    "a damaged TIFF": (422, "damaged", lambda p: raw(b"II*\0" + b"\xff" * 40)),
    "a damaged WebP": (422, "damaged", lambda p: raw(b"RIFF\xff\xff\0\0WEBPVP8 ")),
    "a decompression bomb": (413, "expected at most", lambda p: raw(png_header(50_000, 50_000))),
    "one pixel row too many": (413, "got 500 x 501", lambda p: raw(encoded("PNG", (500, 501)))),
    "a WebP whose pixels count thrice": (
        413,
        "in such a WEBP file",
        lambda p: raw(encoded("WEBP", (300, 300))),
    ),
    "too long a picture": (422, "ratio of at most", lambda p: raw(encoded("PNG", (2000, 4)))),
    "too large a body": (413, "expected a body of at most 200000 bytes", lambda p: raw(p + bytes(200_000))),
    "a form without files": (422, "got 0", lambda p: form(("other", (None, "text")))),
    "a form with two files": (422, "got 2", lambda p: form(("image", p), ("image", p))),
    "a form with the picture as text": (422, "got 0", lambda p: form(("image", (None, "text")))),
    "a form with an empty file": (422, "got nothing", lambda p: form(("image", ("x.png", b"")))),
    "a form without a boundary": (400, "broken", lambda p: raw(p, "multipart/form-data")),
    "a form with a wrong boundary": (400, "broken", lambda p: raw(p, "multipart/form-data; boundary=x")),
    "a form that ends early": (400, "ends within a file", lambda p: raw(EARLY, BOUNDED)),
    "a form with a part without a name": (400, "broken", lambda p: raw(NAMELESS, BOUNDED)),
    "a form with too many fields": (400, "broken", lambda p: form(*[("f", (None, "x"))] * 30)),
    "a batch that is no form": (415, "expected a form of images", lambda p: raw(p, path=BATCH)),
    "a batch without files": (422, "at least one", lambda p: form(("x", (None, "y")), path=BATCH)),
    "a batch of too many": (413, "at most 4 images", lambda p: form(*[("image", p)] * 5, path=BATCH)),
    "a rule that there is not": (422, "no rule 'nonsense'", lambda p: raw(p, params={"rule": "nonsense"})),
    "a rule that the guard has not": (422, "has no profile", lambda p: raw(p, params={"rule": "profile"})),
    "a false-alarm rate of 0": (422, "greater than 0", lambda p: raw(p, params={"alpha": "0"})),
    "a false-alarm rate of words": (422, "valid number", lambda p: raw(p, params={"alpha": "low"})),
    "a false-alarm rate of NaN": (422, "alpha", lambda p: raw(p, params={"alpha": "nan"})),
    "a false-alarm rate too low to promise": (422, "calibrat", lambda p: raw(p, params={"alpha": "1e-9"})),
    "an inference without inputs": (422, "inputs", lambda p: infer(inputs=[])),
    "an inference that is no JSON": (422, "JSON", lambda p: infer() | {"content": "{"}),
    "an inference of another type": (422, "datatype", lambda p: one(datatype="FP64")),
    "an inference that is not base64": (422, "base64", lambda p: one(data=["#"])),
    "an inference of a number for a file": (422, "base64", lambda p: one(data=[3])),
    "an inference of no image": (415, "image 0: expected an image", lambda p: one()),
    "an inference of a broken image": (
        422,
        "image 0: ",
        lambda p: one(data=[base64.b64encode(p[:99]).decode()]),
    ),
    "an inference of another shape": (422, "of shape [1]", lambda p: one(shape=[2])),
    "an inference of too many": (413, "at most 4", lambda p: one(shape=[5], data=["AAAA"] * 5)),
    "pixels of two dimensions": (422, "[N, 3, height, width]", lambda p: pixels((1, 3), n=3)),
    "pixels of another size": (422, "floating-point", lambda p: pixels((1, 3, 2, 2), n=12)),
    "pixels that do not fill it": (422, "fill the shape", lambda p: pixels(n=1)),
    "pixels beyond white": (422, "expected pixels in [0, 1]", lambda p: pixels(value=2.0)),
    "pixels that are no numbers": (422, "expected numbers", lambda p: pixels(value="x")),
    "pixels that are numbers in words": (422, "got other values", lambda p: pixels(value="0.5")),
    "pixels that are nothing": (422, "got other values", lambda p: pixels(value=None)),
    "pixels in lists of other lengths": (
        422,
        "lists of equal lengths",
        lambda p: one(datatype="FP32", shape=[1, 3, 1, 1], data=[[0.5], [0.5, 0.5]]),
    ),
    "pixels too large for any number": (422, "too large", lambda p: pixels((1, 3, 1, 1), value=10**400, n=3)),
    "levels too large for any number": (422, "too large", lambda p: pixels(kind="UINT8", value=10**30)),
    "levels as broken numbers": (422, "from 0 to 255", lambda p: pixels(kind="UINT8", value=1.0)),
    "levels beyond 255": (422, "from 0 to 255", lambda p: pixels(kind="UINT8", value=256)),
    "levels between levels": (422, "from 0 to 255", lambda p: pixels(kind="UINT8", value=0.5)),
    "an output that there is not": (422, "outputs", lambda p: infer(inputs=[], outputs=[{"name": "x"}])),
    "an inference by another model": (
        404,
        "the guard's name, guard",
        lambda p: one() | {"path": "/v2/models/x/infer"},
    ),
    "a path that there is not": (404, "Not Found", lambda p: raw(p, path="/v1/nowhere")),
    "a method that there is not": (405, "Method Not Allowed", lambda p: {"method": "DELETE"}),
    "a guard outside the folder": (422, "expected the name of a guard file", lambda p: change("../x.simdnn")),
    "a guard that is not there": (409, "stays", lambda p: change("x.simdnn")),
    "a guard of another kind": (409, "no guard file", lambda p: change("weights.safetensors")),
    "a guard with a line break": (422, "guard file", lambda p: change("a\nb")),
    "a guard by another key": (422, "Extra", lambda p: {"path": MODEL, "json": {"url": "x"}}),
    "a record of letters": (422, "record_id", lambda p: {"path": "/v1/audit/x", "method": "GET"}),
    "a record of no number": (422, "record_id", lambda p: {"path": "/v1/audit/0", "method": "GET"}),
}


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 40


@pytest.mark.parametrize("name", list(TABLE))
def test_a_bad_request_is_refused_and_a_good_one_answered(
    limited: Service, picture: bytes, name: str
) -> None:
    status, said, bad = TABLE[name]
    request = bad(picture)
    method, path = request.pop("method", "POST"), request.pop("path", CHECK)
    headers = request.pop("headers", {}) | limited.auditor
    reply = limited.client.request(method, path, headers=headers, **request)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert set(problem) == {"type", "title", "status", "detail", "error"}
    assert said in problem["detail"]
    assert problem["detail"].isprintable()
    assert problem["error"] == problem["detail"]
    good = limited.client.post(
        CHECK, content=picture, headers={"Content-Type": "image/png"} | limited.auditor
    )
    assert good.status_code == 200, good.text
    assert limited.state.pipeline.room.held == 0


def test_a_body_without_a_length_is_bounded_too(limited: Service, picture: bytes) -> None:
    def parts() -> Any:
        for _ in range(300):
            yield bytes(1000)

    headers = {"Content-Type": "image/png"} | limited.auditor
    reply = limited.client.post(CHECK, content=parts(), headers=headers)
    assert reply.status_code == 413
    assert limited.client.post(CHECK, content=picture, headers=headers).status_code == 200
