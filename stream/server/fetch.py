"""Getting a video that a stranger's URL names, and nothing else."""

import asyncio
import base64
import binascii
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from stream.errors import InputError, LimitError, MediaError
from stream.limits import FETCH_SILENCE, FETCH_TIMEOUT, MAX_REDIRECTS, MAX_VIDEO
from stream.server.addresses import Allowed, Guard

MAX_URL = 8192
"""Characters: signed links of storage services have some 2000."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

HEADERS = {"User-Agent": "segstream", "Accept": "video/*, */*;q=0.5", "Accept-Encoding": "identity"}

_DATA = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.ASCII | re.IGNORECASE)

BLOCK = 1024 * 1024


async def fetch(
    url: str,
    target: Path,
    allowed: Allowed,
    resolver: AbstractResolver | None = None,
    limit: int = MAX_VIDEO,
) -> None:
    """Write what the http, https or data URL names to the file `target`.

    Every redirect is looked at like the first URL. resolver: of names; by default the system's.
    Raises InputError for a URL that is not allowed, MediaError when nothing can be got from it,
    LimitError when that is larger than `limit` bytes or takes too long.
    """
    if url[:5].lower() == "data:":
        await asyncio.to_thread(_decode, url, target, limit)
        return
    try:
        async with asyncio.timeout(FETCH_TIMEOUT):
            next_url: URL | None = check(url)
            for _ in range(MAX_REDIRECTS + 1):
                assert next_url is not None
                next_url = await _get(next_url, target, allowed, resolver, limit)
                if next_url is None:
                    return
    except TimeoutError:
        raise LimitError(f"the video took over {FETCH_TIMEOUT:g} s to fetch") from None
    raise MediaError(f"the video's URL redirects more than {MAX_REDIRECTS} times")


def check(url: str) -> URL:
    """The URL, if it is http or https and names a host. Raises InputError."""
    if len(url) > MAX_URL:
        raise InputError(f"the video's URL has {len(url)} characters; at most {MAX_URL} are read")
    try:
        parsed = URL(url)
        host = parsed.host
    except ValueError as error:
        raise InputError(f"the video's URL cannot be read: {error}"[:200]) from error
    if parsed.scheme not in ("http", "https") or not host:
        raise InputError(
            "the video's URL must begin with http://, https:// or data:video/ and name a host"
        )
    if parsed.user is not None or parsed.password is not None:
        raise InputError("the video's URL may not hold a user or password")
    return parsed


async def _get(
    url: URL, target: Path, allowed: Allowed, resolver: AbstractResolver | None, limit: int
) -> URL | None:
    """Fetch it; or where it redirects to."""
    guard = Guard(allowed, url.host or "")
    connector = aiohttp.TCPConnector(
        socket_factory=guard, resolver=resolver, use_dns_cache=False, force_close=True, limit=1
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=FETCH_SILENCE, sock_read=FETCH_SILENCE)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                headers=HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # a proxy would connect where this process must not
            ) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status in REDIRECTS:
                return check(str(url.join(URL(response.headers.get("Location", "")))))
            if response.status != 200:
                raise MediaError(f"the video's server answered {response.status}")
            await _write(response, target, limit)
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        if guard.refused is not None:
            raise InputError(
                f"the video's host {url.host} is at an address that is not public; "
                "an operator may allow it with SEGSTREAM_FETCH_ALLOW"
            ) from error
        if isinstance(error, aiohttp.InvalidURL):
            raise InputError("the video's URL names no host that may be asked") from error
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            raise
        raise MediaError(f"the video cannot be fetched from {url.host}: {_why(error)}") from error
    return None


async def _write(response: aiohttp.ClientResponse, target: Path, limit: int) -> None:
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    total, block = 0, bytearray()
    with target.open("wb") as file:
        async for chunk in response.content.iter_any():
            total += len(chunk)
            if total > limit:
                raise _too_large(limit)
            block += chunk
            if len(block) >= BLOCK:
                await asyncio.to_thread(file.write, block)
                block = bytearray()
        await asyncio.to_thread(file.write, block)


def _decode(url: str, target: Path, limit: int) -> None:
    head = _DATA.match(url[:1000])
    if head is None:
        raise InputError("the data: URL cannot be read; wanted data:video/mp4;base64,…")
    kind, parameters = head[1].lower(), head[2].lower().split(";")
    if not kind.startswith("video/") and kind != "application/octet-stream":
        raise InputError(f"the data: URL is {kind[:40] or 'text/plain'}; wanted a video type")
    coded = url[head.end() :]
    if len(coded) > limit * 4 // 3 + 1000 and "base64" in parameters:
        raise _too_large(limit)
    try:
        plain = unquote_to_bytes(coded) if "%" in coded else coded.encode("ascii")
        data = base64.b64decode(plain, validate=True) if "base64" in parameters else plain
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the data: URL is not base64: {error}"[:200]) from error
    if len(data) > limit:
        raise _too_large(limit)
    target.write_bytes(data)


def _too_large(limit: int) -> LimitError:
    return LimitError(f"the video is larger than {limit // 1024**2} MiB, the most that is taken")


def _why(error: BaseException) -> str:
    """Without addresses: what the inside of the network looks like is nobody's business."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no such name"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    with suppress(AttributeError):
        return type(error).__name__.removeprefix("Client")
    return "it failed"
