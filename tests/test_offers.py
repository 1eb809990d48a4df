"""Offers of the programs that people publish with, and what is answered to each."""

from collections.abc import Callable

import pytest
from offers import (
    CHROMIUM,
    FFMPEG,
    FIREFOX,
    GSTREAMER,
    OBS,
    OBS_SIMULCAST,
    PUBLISHERS,
    SAFARI,
    VIEWERS,
)

from stream.errors import OfferError
from stream.network import Network
from stream.server import codecs, offer
from stream.server.connection import Connection


async def answer(sdp: str, read: Callable[[str], offer.Offer] = offer.read_publisher) -> str:
    connection = Connection("test", Network())
    try:
        return await connection.answer(read(sdp))
    finally:
        await connection.close()


@pytest.mark.parametrize("name", PUBLISHERS)
async def test_each_program_is_answered(name: str) -> None:
    told = await answer(PUBLISHERS[name])
    head, *sections = told.split("m=")
    assert {section.split(" ")[0] for section in sections} == {"audio", "video"}
    assert "a=group:BUNDLE" in head
    for section in sections:
        assert "a=recvonly" in section
        assert "a=setup:passive" in section
        assert "a=ice-ufrag" in section
        assert "a=rtcp-mux" in section
        assert section.count("a=fingerprint:sha-256") == 1


@pytest.mark.parametrize(
    ("sdp", "codec", "line"),
    [
        (OBS, "96 H264", "profile-level-id=42e01f"),
        (FFMPEG, "106 H264", "profile-level-id=64001e"),
        (GSTREAMER, "96 H264", "profile-level-id=64001f"),
        (CHROMIUM, "96 VP8", ""),
        (FIREFOX, "120 VP8", ""),
        (SAFARI, "98 H264", "profile-level-id=42e01f"),  # of two profiles, the one that all have
    ],
)
async def test_the_codec_that_is_wanted_most_is_taken(sdp: str, codec: str, line: str) -> None:
    video = (await answer(sdp)).partition("m=video")[2].partition("m=")[0]
    assert video.split("a=rtpmap:")[1].startswith(codec)
    assert line in video
    assert "AV1" not in video


@pytest.mark.parametrize("name", VIEWERS)
async def test_each_browser_that_watches_is_answered(name: str) -> None:
    told = await answer(VIEWERS[name], offer.read_viewer)
    video = told.partition("m=video")[2].partition("m=")[0]
    assert "a=setup:passive" in video
    assert "a=rtcp-mux" in video
    assert "VP8/90000" in video
    assert "H265" not in video


async def test_of_several_layers_one_is_asked_for() -> None:
    """RFC 8853: without a=simulcast in the answer the offerer sends one stream."""
    told = await answer(OBS_SIMULCAST)
    assert "a=rtpmap:96 H264/90000" in told
    assert "a=simulcast" not in told
    assert "a=rid" not in told
    assert "rtp-stream-id" not in told


async def test_a_profile_without_a_format_line_is_taken_too() -> None:
    lines = [line for line in FFMPEG.splitlines() if not line.startswith("a=fmtp:106")]
    told = await answer("".join(f"{line}\r\n" for line in lines))
    assert "a=rtpmap:106 H264/90000" in told


async def test_browsers_keep_the_profiles_that_aiortc_knows() -> None:
    assert codecs.with_known_profile(CHROMIUM) == (CHROMIUM, {})
    assert codecs.with_known_profile(OBS) == (OBS, {})
    known, replaced = codecs.with_known_profile(FFMPEG)
    assert "64001e" not in known
    assert list(replaced) == ["106"]
    assert codecs.with_offered_profile(known, replaced) == FFMPEG


def test_what_codecs_are_wanted_is_told() -> None:
    with pytest.raises(OfferError, match="H265; wanted VP8 or H264"):
        offer.read_publisher(FFMPEG.replace("H264", "H265").replace(" rtx/", " H265/"))
    with pytest.raises(OfferError, match="wanted VP8 or H264"):
        offer.read_viewer(
            CHROMIUM.replace("VP8", "VP9").replace("H264", "AV1").replace("sendonly", "recvonly")
        )


def test_ice_sessions_are_known_wherever_they_stand() -> None:
    assert offer.read_publisher(OBS).ufrags == {"jBua"}
    assert offer.read_publisher(GSTREAMER).ufrags == {"9c80"}
