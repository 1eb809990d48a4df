from pathlib import Path

import pytest

from stream.errors import InputError
from stream.settings import Settings


def test_defaults_are_reachable_from_this_machine_only() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings().host == "127.0.0.1"
    assert Settings().port == 8080
    assert Settings().model == "nano"


def test_every_field_can_be_set() -> None:
    given = {
        "SEGSTREAM_HOST": "0.0.0.0",
        "SEGSTREAM_PORT": "0",
        "SEGSTREAM_MODEL": "sam2.1-tiny",
        "SEGSTREAM_THREADS": "2",
        "SEGSTREAM_HOSTS": "example.org, www.example.org,",
    }
    wanted = Settings("0.0.0.0", 0, "sam2.1-tiny", 2, ("example.org", "www.example.org"))
    assert Settings.from_environment(given) == wanted


def test_empty_means_unset() -> None:
    given = dict.fromkeys(
        ("SEGSTREAM_HOST", "SEGSTREAM_PORT", "SEGSTREAM_MODEL", "SEGSTREAM_THREADS"), ""
    )
    assert Settings.from_environment(given) == Settings()


def test_where_cameras_and_recordings_are() -> None:
    given = {
        "SEGSTREAM_CAMERAS": "/a/cameras.json",
        "SEGSTREAM_CAMERA_FILES": "1",
        "SEGSTREAM_RECORD": "/b",
    }
    wanted = Settings(cameras=Path("/a/cameras.json"), camera_files=True, record=Path("/b"))
    assert Settings.from_environment(given) == wanted


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSTREAM_PORT", "9999")
    assert Settings.from_environment().port == 9999


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "٨٠", "9" * 5000])
def test_a_bad_number_is_named(port: str) -> None:
    with pytest.raises(InputError, match="SEGSTREAM_PORT"):
        Settings.from_environment({"SEGSTREAM_PORT": port})


@pytest.mark.parametrize("rate", ["fast", "-1", "1e3", "1001", "nan", ".5", "٨"])
def test_a_bad_rate_is_named(rate: str) -> None:
    with pytest.raises(InputError, match="SEGSTREAM_MIN_TRACKER_RATE"):
        Settings.from_environment({"SEGSTREAM_MIN_TRACKER_RATE": rate})


def test_the_rate_may_have_decimals() -> None:
    given = {"SEGSTREAM_MIN_TRACKER_RATE": "2.5"}
    assert Settings.from_environment(given).min_tracker_rate == 2.5
