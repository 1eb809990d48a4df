"""Session tokens: what a key makes for who is not to have the key, such as a page's visitor.

`sgt_KEY_EXPIRES_SIGNATURE`: the key's id, seconds since the epoch, and HMAC-SHA-256 over both with
a secret that the servers of one database share. Nothing is stored for a token, so there is no
number of them that fills a table; it ends with its time or with its key.
"""

import base64
import hashlib
import hmac
import re
import secrets
import sqlite3

from stream.errors import KeyRefused

PREFIX = "sgt_"

_TOKEN = re.compile(r"(sgt_([0-9a-f]{12})_([0-9]{1,12}))_([A-Za-z0-9_-]{43})")

_SECRET = "session-tokens"


def secret(connection: sqlite3.Connection) -> bytes:
    """Within a transaction: what tokens are signed with; made when there is none."""
    connection.execute(
        "INSERT OR IGNORE INTO secrets VALUES (?, ?)", (_SECRET, secrets.token_bytes(32))
    )
    row = connection.execute("SELECT value FROM secrets WHERE name = ?", (_SECRET,)).fetchone()
    return bytes(row["value"])


def make(key: str, expires: int, secret: bytes) -> str:
    """key: its id. expires: seconds since the epoch. Only characters of RFC 6750's b64token."""
    head = f"sgt_{key}_{expires}"
    return f"{head}_{_signature(head, secret)}"


def read(token: str, now: float, secret: bytes) -> str:
    """The id of the key that made it. Raises KeyRefused: it is none, or its time is over."""
    parts = _TOKEN.fullmatch(token)
    head, key, expires, given = parts.groups() if parts else ("", "", "0", "")
    # Compared in constant time: how long it takes must not tell how much was right.
    if not hmac.compare_digest(given, _signature(head, secret)):
        raise KeyRefused("the token is wrong")
    if int(expires) <= now:
        raise KeyRefused("the token's time is over; make another one with POST /session-tokens")
    return str(key)


def _signature(head: str, secret: bytes) -> str:
    digest = hmac.digest(secret, head.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
