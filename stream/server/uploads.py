"""Reading a request for a job: JSON with the video's URL, or multipart with the video itself."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from stream.errors import InputError, LimitError
from stream.limits import (
    MAX_FIELD,
    MAX_JSON,
    MAX_JSON_VALUES,
    MAX_PARTS,
    MAX_VIDEO,
    UPLOAD_TIMEOUT,
)
from stream.server.http import read_body

CHUNK = 256 * 1024


async def read(request: web.Request, videos: Sequence[str], target: Path) -> dict[str, Any]:
    """The request's fields. videos: names of the field for the video: if a file was uploaded in
    it, it is written to `target` and is not among the fields.

    Values of multipart fields are texts. Raises InputError, LimitError, and aiohttp's
    HTTPUnsupportedMediaType and HTTPRequestTimeout.
    """
    if request.content_type == "application/json":
        return _object(await read_body(request, MAX_JSON))
    if request.content_type != "multipart/form-data":
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type}; "
            "wanted application/json or multipart/form-data"
        )
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT):
            return await _multipart(request, videos, target)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the upload took over {UPLOAD_TIMEOUT:g} s") from None
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        # aiohttp's reader has no one exception for what is no multipart.
        raise InputError(f"the multipart body cannot be read: {str(error)[:100]}") from error


def _object(body: bytes) -> dict[str, Any]:
    if body.count(b",") > MAX_JSON_VALUES:
        raise LimitError(
            f"the JSON holds more than {MAX_JSON_VALUES} values; send a video as base64, or as "
            "multipart"
        )
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"body is no JSON: {str(error)[:100]}") from error
    if not isinstance(found, dict):
        raise InputError("body is no JSON object")
    return found


async def _multipart(request: web.Request, videos: Sequence[str], target: Path) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    reader = await request.multipart()
    count = 0
    while (part := await reader.next()) is not None:
        count += 1
        if count > MAX_PARTS:
            raise LimitError(f"the request has more than {MAX_PARTS} parts")
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise InputError("a part of the request has no name")
        if part.name in videos and part.filename is not None:
            await _save(part, target)
        else:
            fields[part.name] = (await _text(part)).decode("utf-8", "replace")
    return fields


async def _save(part: BodyPartReader, target: Path) -> None:
    total = 0
    with target.open("wb") as file:
        while chunk := await part.read_chunk(CHUNK):
            total += len(chunk)
            if total > MAX_VIDEO:
                raise LimitError(
                    f"the video is larger than {MAX_VIDEO // 1024**2} MiB, the most that is taken"
                )
            await asyncio.to_thread(file.write, chunk)


async def _text(part: BodyPartReader) -> bytes:
    text = bytearray()
    while chunk := await part.read_chunk():
        text += chunk
        if len(text) > MAX_FIELD:
            raise LimitError(f"a field is larger than {MAX_FIELD // 1024} KiB")
    return bytes(text)
