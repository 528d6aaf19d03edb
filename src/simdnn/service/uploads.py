"""Images out of requests: bodies and multipart forms, read within limits and in memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from simdnn.service.jobs import Upload
from simdnn.service.problems import Problem

_FIELDS = 16
_RAW = re.compile(r"image/[\w.+-]+|application/octet-stream")

UNNAMED = "image"
"""Name of an image that came without one."""


def openapi_body(*, several: bool) -> dict[str, Any]:
    """Describe the body of a path that takes images, for OpenAPI."""
    binary = {"type": "string", "format": "binary"}
    field: dict[str, Any] = {"type": "array", "items": binary} if several else binary
    form = {"type": "object", "required": ["image"], "properties": {"image": field}}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if not several:
        content |= {"image/*": {"schema": binary}, "application/octet-stream": {"schema": binary}}
    return {"requestBody": {"required": True, "content": content}}


async def one_upload(request: Request) -> Upload:
    """Return the one image of a request: its body, or the field ``image`` of its form.

    Raises
    ------
    Problem
        400 for a broken form, 413 for too large a body, 415 for another kind of body, 422 for no image or several.
    """
    kind = _kind(request)
    if kind == "multipart/form-data":
        found = await _form(request, _FIELDS)
        if len(found) != 1:
            raise Problem(
                422, f"expected one file in the field image, got {len(found)}; several go to /v1/check/batch"
            )
        upload = found[0]
    elif _RAW.fullmatch(kind):
        upload = Upload(UNNAMED, await _body(request))
    else:
        raise Problem(
            415,
            f"expected an image as the body (image/png, image/jpeg or the like, application/octet-stream) or a form "
            f"(multipart/form-data), got {kind or 'no content type'}",
        )
    if not upload.content:
        raise Problem(422, "expected an image, got nothing")
    return upload


async def several_uploads(request: Request, most: int) -> list[Upload]:
    """Return all files of a request's form, as :func:`one_upload`; 413 if they are more than ``most``."""
    kind = _kind(request)
    if kind != "multipart/form-data":
        raise Problem(
            415, f"expected a form of images (multipart/form-data), got {kind or 'no content type'}"
        )
    found = await _form(request, most)
    if not found:
        raise Problem(422, "expected files in the form, at least one, got none")
    return found


def shown_name(name: str | None) -> str:
    r"""Return a name that a client gave: without its folders, printable and short.

    >>> shown_name("../../etc/pass\x1bwd"), shown_name("C:\\x\\y.png"), shown_name("")
    ('pass?wd', 'y.png', 'image')
    """
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(c if c.isprintable() else "?" for c in last[:200]) or UNNAMED


class _InMemory(MultiPartParser):
    """Keeps files in memory: a request's size is bounded, and nothing that is uploaded reaches the disk."""

    spool_max_size = 1 << 40


async def _form(request: Request, most: int) -> list[Upload]:
    async def body() -> AsyncIterator[bytes]:
        async for part in request.stream():
            yield part

    parser = _InMemory(request.headers, body(), max_files=most, max_fields=_FIELDS)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise Problem(
                413, f"expected at most {most} images in a request, got more; send them in parts"
            ) from error
        raise Problem(
            400, f"expected a form as multipart/form-data, got a broken one: {error.message}"
        ) from error
    except ClientDisconnect as error:
        raise _gone() from error
    except (KeyError, UnicodeDecodeError, LookupError) as error:
        raise Problem(400, "expected a form as multipart/form-data, got a broken one") from error
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    begun = parser._files_to_close_on_error  # one more where the form ended within a file
    if len(begun) > len(files):
        for file in begun:
            file.close()
        raise Problem(400, "expected a form as multipart/form-data, got one that ends within a file")
    try:
        return [Upload(shown_name(part.filename), await part.read()) for part in files]
    finally:
        await form.close()


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise _gone() from error


def _gone() -> Problem:
    return Problem(400, "the connection ended before the request did")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
