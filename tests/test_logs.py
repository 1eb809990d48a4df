"""The log: its two forms, what a line is about, and that no secret is in it."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from stream import logs
from stream.settings import Settings

SECRETS = [
    ("rtsp://admin:s3cr3t-1@10.0.0.5/stream", "rtsp://***@10.0.0.5/stream"),
    ("https://s3cr3t-token@example.org/x", "https://***@example.org/x"),
    ("rtsp://admin:p@s3cr3t@10.0.0.5/x", "rtsp://***@10.0.0.5/x"),
    ("turn:user:s3cr3t@turn.example.org:3478", "turn:***@turn.example.org:3478"),
    ("GET /jobs?token=s3cr3t&page=2", "GET /jobs?token=***&page=2"),
    ("http://x/v?key=s3cr3t", "http://x/v?key=***"),
    ("http://x/?X-Amz-Signature=s3cr3t&a=1", "http://x/?X-Amz-Signature=***&a=1"),
    ("http://x/?access_token=s3cr3t#top", None),
    ("Authorization: Bearer s3cr3t.abc.def", "Authorization: Bearer ***"),
    ("authorization: Basic czNjcjN0", None),
    ("{'x-api-key': 's3cr3t', 'a': 1}", "{'x-api-key': '***', 'a': 1}"),
    ('{"api_key": "s3cr3t"}', '{"api_key": "***"}'),
    ("password=s3cr3t, user=me", "password=***, user=me"),
    (f"sgs_0123456789ab_{'x' * 43} is", "sgs_0123456789ab_*** is"),
    (f"sgt_0123456789ab_1764016200_{'x' * 43} is", "sgt_0123456789ab_1764016200_*** is"),
    ("client_secret: s3cr3t", "client_secret: ***"),
    ("a=ice-pwd:s3cr3ts3cr3ts3cr3t", "a=ice-pwd:***"),
]

HARMLESS = [
    "session abc: started",
    "GET /rtc failed: 12 tokens of 16 taken",
    "http://127.0.0.1:8080/page?monkey=banana",
    "cannot listen on ::1 port 8080: address in use",
    "the key was pressed at 12:30",
    "mail to a@b.c",
]


@pytest.mark.parametrize(("text", "wanted"), SECRETS)
def test_secrets_are_hidden(text: str, wanted: str | None) -> None:
    found = logs.redact(f"x {text} y")
    assert "s3cr3t" not in found
    assert "czNjcjN0" not in found
    assert "***" in found
    assert wanted is None or found == f"x {wanted} y"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.redact(text) == text


def test_long_texts_cost_little() -> None:
    """No pattern's time may grow faster than the text; the test's own timeout is the judge."""
    for part in ("a", "token", "://", "turn:", "password: ", "-_-", "bearer ", "x@"):
        logs.redact(part * (200_000 // len(part)))


@pytest.fixture
def written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], str]]:
    """What was written to standard error; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logs, "_known", set())
    root.handlers[:] = []  # pytest's own, which `configure` would close
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)


def log_all_secrets() -> None:
    log = logging.getLogger("test")
    for text, _ in SECRETS:
        log.info("line %s", text)
        log.info("extra", extra={"session": text})
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("failed: %s", text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_written(written: Callable[[], str], form: str) -> None:
    logs.configure(Settings(log_format=form))
    logs.hide("opensesame")
    log_all_secrets()
    logging.getLogger("test").info("said opensesame")
    text = written()
    assert text.count("failed: ") == len(SECRETS)
    for secret in ("s3cr3t", "czNjcjN0", "opensesame"):
        assert secret not in text, form


def test_json_lines(written: Callable[[], str]) -> None:
    logs.configure(Settings(log_format="json"), "worker")
    log = logging.getLogger("stream.test")
    with logs.about(session="s1"):
        log.info("one\ntwo %s", "drei \N{SNOWMAN}")
        with logs.about(job="j1"):
            log.warning("both", extra={"session": "s2"})
    try:
        raise RuntimeError("oh")
    except RuntimeError:
        log.exception("broken")
    log.debug("not shown")
    first, second, third = (json.loads(line) for line in written().splitlines())
    assert first["message"] == "one\ntwo drei \N{SNOWMAN}"
    assert (first["level"], first["logger"], first["process"]) == ("info", "stream.test", "worker")
    assert first["time"].endswith("Z")
    assert (first["session"], "job" in first) == ("s1", False)
    assert (second["session"], second["job"], second["level"]) == ("s2", "j1", "warning")
    assert "session" not in third
    assert third["error"].startswith("Traceback")
    assert third["error"].endswith("RuntimeError: oh")


def test_text_lines_cannot_be_forged(written: Callable[[], str]) -> None:
    logs.configure(Settings(log_level="warning"), "worker")
    logging.getLogger("test").info("not shown")
    logging.getLogger("test").warning("path %s", "/x\n2026 INFO all is well\x1b[31m")
    (line,) = written().splitlines()
    assert line.endswith(r"WARNING worker: path /x\n2026 INFO all is well\x1b[31m")


async def test_tasks_know_what_they_are_about(written: Callable[[], str]) -> None:
    logs.configure(Settings(log_format="json"))

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        logging.getLogger("test").info(name)

    tasks = []
    for name in ("a", "b"):
        with logs.about(session=name):
            tasks.append(asyncio.create_task(work(name)))
    await asyncio.gather(*tasks, work("c"))
    lines = [json.loads(line) for line in written().splitlines()]
    assert {line["message"]: line.get("session") for line in lines} == {
        "a": "a",
        "b": "b",
        "c": None,
    }
