"""SDP fragments: read, or refused with a reason."""

import random

import pytest

from stream.errors import InputError
from stream.limits import MAX_CANDIDATES, MAX_SDP_LINES
from stream.server import trickle

CANDIDATE = "a=candidate:1 1 udp 2113937151 192.0.2.7 51000 typ host"
FRAGMENT = "\r\n".join(
    [
        "a=ice-ufrag:EsAw",
        "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0",
        "a=mid:video0",
        CANDIDATE,
        CANDIDATE.replace("udp", "tcp").replace("host", "host tcptype active"),
        "a=candidate:3 2 udp 2113937150 192.0.2.7 51001 typ host",
        "a=candidate:4 1 udp 2113937149 3f2a.local 51002 typ host",
        "a=end-of-candidates",
        "",
    ]
)


def test_a_fragment() -> None:
    fragment = trickle.read(FRAGMENT)
    assert (fragment.ufrag, fragment.pwd) == ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")
    assert [c.protocol for c in fragment.candidates] == ["udp", "tcp"], "no RTCP, no .local"
    assert {(c.sdpMid, c.ip) for c in fragment.candidates} == {("video0", "192.0.2.7")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1",
        "a=candidate:",
        "a=candidate:1 1 udp x 192.0.2.7 51000 typ host",
        "\r\n".join([CANDIDATE] * (MAX_CANDIDATES + 1)),
        "\r\n".join([CANDIDATE] * (MAX_SDP_LINES + 1)),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InputError):
        trickle.read(text)


def test_mutated_fragments_are_read_or_refused() -> None:
    chance = random.Random(5)
    for _ in range(2000):
        text = list(FRAGMENT)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            text[at] = chr(chance.randrange(1, 0x300)) if chance.random() < 0.7 else ""
        try:
            trickle.read("".join(text))
        except InputError:
            continue
