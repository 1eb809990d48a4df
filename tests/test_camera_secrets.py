"""What is shown of a camera's address."""

import pytest

from stream.egress import target
from stream.ingest.address import shown


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("rtsp://10.0.0.5/live/main", "rtsp://10.0.0.5/live/main"),
        ("rtsp://a:pw1@10.0.0.5:554/live?key=pw1", "rtsp://***@10.0.0.5:554/live?***"),
        # Recorders that want it in the path.
        (
            "rtsp://10.0.0.5/user=admin&password=pw1&channel=1&stream=0.sdp",
            "rtsp://10.0.0.5/user=admin&password=***&channel=1&stream=0.sdp",
        ),
        (
            "rtsp://10.0.0.5/user=admin_password=pw1_channel=1_stream=0.sdp",
            "rtsp://10.0.0.5/user=admin_password=***",
        ),
        ("rtsp://10.0.0.5/cam/PWD=pw1/1", "rtsp://10.0.0.5/cam/PWD=***/1"),
        ("https://10.0.0.5/token=pw1/index.m3u8", "https://10.0.0.5/token=***/index.m3u8"),
    ],
)
def test_no_secret_is_shown(url: str, wanted: str) -> None:
    assert shown(url) == wanted
    assert "pw1" not in target.shown(url)
