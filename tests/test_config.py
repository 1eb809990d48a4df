"""The configuration file: its places, its keys, and what goes before what."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import stream.server.app
from stream import config, options
from stream.cli import main
from stream.errors import InputError
from stream.kinds import TEXT
from stream.settings import Key, Settings, keys, parse, variable

NAMES = [found.name for found, _ in keys()]


def write(folder: Path, text: str) -> Path:
    path = folder / "segstream.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(path: Path, **environment: str) -> Settings:
    return config.load(None, path, environment)


def uncommented() -> dict[str, object]:
    return tomllib.loads(re.sub(r"(?m)^#(?=\w)", "", config.commented()))


def test_the_default_file_has_every_key_and_changes_nothing(tmp_path: Path) -> None:
    assert sorted(uncommented()) == sorted(NAMES)
    assert tomllib.loads(config.commented()) == {}
    assert load(write(tmp_path, config.commented())) == Settings()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_default_file_shows_can_be_used(tmp_path: Path, name: str) -> None:
    """The default itself, or an example where it cannot be written."""
    line = next(li for li in config.commented().splitlines() if li.startswith(f"#{name} ="))
    got = getattr(load(write(tmp_path, line[1:])), name)
    key = {found.name: key for found, key in keys()}[name]
    default = getattr(Settings(), name)
    assert got == (parse(key, name, key.example) if key.otherwise else default)
    assert (got == default) is not bool(key.otherwise)


@pytest.mark.parametrize(("found", "key"), keys(), ids=NAMES)
def test_every_key_is_a_variable_and_an_option(monkeypatch, tmp_path, found, key) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(stream.server.app, "run", given.append)
    for name in NAMES:
        monkeypatch.delenv(variable(name), raising=False)
    other = {
        "host": "::1",
        "port": "1",
        "model": "x",
        "device": "cpu",
        "compile": "1",
        "window": "1",
    }
    other |= {"min_tracker_rate": "2", "camera_files": "1", "max_bitrate": "500000"}
    other |= {
        "jobs": "2",
        "job_nice": "5",
        "keep_hours": "1",
        "drain_seconds": "1",
        "log_format": "json",
    }
    other |= {"session_keys": "remote", "job_rate": "5"}
    text = other.get(found.name) or key.example or "error"
    wanted = parse(key, found.name, text)
    assert wanted != found.default
    monkeypatch.setenv("SEGSTREAM_CONFIG", str(write(tmp_path, "")))
    monkeypatch.setenv(variable(found.name), text)
    assert main(["serve"]) == 0
    monkeypatch.delenv(variable(found.name))
    option = f"--{found.name.replace('_', '-')}"
    if key.option:
        assert main(["serve", option, *([] if isinstance(wanted, bool) else [text])]) == 0
    assert [getattr(settings, found.name) for settings in given] == [wanted] * len(given)
    assert len(given) == 1 + key.option


def test_option_before_variable_before_file_before_default(monkeypatch, tmp_path) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(stream.server.app, "run", given.append)
    monkeypatch.setenv("SEGSTREAM_PORT", "3")
    monkeypatch.setenv("SEGSTREAM_MODEL", "")
    path = write(
        tmp_path, 'port = 2\nhost = "::"\nmodel = "file"\nhalf = false\nhosts = ["a", "b"]'
    )
    assert main(["serve", "--config", str(path)]) == 0
    assert main(["serve", "--config", str(path), "--port", "4", "--half"]) == 0
    first, second = given
    assert (first.port, first.host, first.model, first.half) == (3, "::", "file", False)
    assert first.hosts == ("a", "b")
    assert first.drain_seconds == 30
    assert (second.port, second.host, second.half) == (4, "::", True)


def test_the_file_is_looked_for_where_settings_are_kept(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    own, machine = config.places(environment, "linux")
    assert own == tmp_path / "segstream" / "segstream.toml"
    assert machine == Path("/etc/segstream/segstream.toml")
    assert config.places({"XDG_CONFIG_HOME": "not/absolute"}, "linux")[0].is_absolute()
    assert "Library" in str(config.places({}, "darwin")[0])
    assert config.places({"APPDATA": "C:/x"}, "win32") == (Path("C:/x/segstream/segstream.toml"),)
    own.parent.mkdir()
    own.write_text("port = 77")
    assert config.load(environment=environment).port == 77
    other = write(tmp_path, "port = 78")
    environment["SEGSTREAM_CONFIG"] = str(other)
    assert config.load(environment=environment).port == 78
    assert config.load({"port": 79}, environment=environment).port == 79
    assert config.load(path=own, environment=environment).port == 77


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", r"segstream.toml: there is no setting 'prot'; did you mean port"),
        ("min-tracker-rate = 1", "did you mean min_tracker_rate"),
        ("[server]\nport = 1", "no setting 'server'"),
        ("zzzzzz = 1", "'zzzzzz'; 'segstream config' lists all"),
        ('port = "80"', "port in .*segstream.toml is '80'; wanted a whole number from 0 to 65535"),
        ("port = 70000", "port in .* is '70000'"),
        ("port = true", "port in .* is 'True'"),
        ("port = 1.5", "port in"),
        ("host = 5", "host in .* wanted text in quotes"),
        ("hosts = [1]", "hosts in"),
        ('hosts = ["a,b"]', "hosts in"),
        ("compile = 1", "compile in .* false or true"),
        ("drain_seconds = -1", "drain_seconds in"),
        ("drain_seconds = inf", "drain_seconds in"),
        ("drain_seconds = nan", "drain_seconds in"),
        ('log_format = "xml"', "log_format in .* text or json"),
        ("port = \nhosts = []", "is no TOML: .*line 1"),
        ("port = 1\nport = 2", "is no TOML"),
        ("hosts = " + "[" * 100_000, "is no TOML"),
        ("#" * (2 << 20), "at most 1048576 bytes"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none.toml: no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="directory"):
        load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        load(tmp_path / "binary.toml")


def test_empty_text_means_unset(tmp_path: Path) -> None:
    assert load(write(tmp_path, 'host = ""\nweights = ""')) == Settings()


def test_a_secret_is_not_shown() -> None:
    def read(text: str) -> object:
        raise ValueError

    kind = TEXT.__class__("8 characters", (str,), read)
    with pytest.raises(InputError) as caught:
        parse(Key(kind, "a token", "the server", secret=True), "SEGSTREAM_TOKEN", "hunter2")
    assert str(caught.value) == "SEGSTREAM_TOKEN cannot be used; wanted 8 characters"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    assert capsys.readouterr().out == config.commented()
    assert all(len(line) <= 100 for line in config.commented().splitlines())


def test_track_reads_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, 'model = "giant"')
    (tmp_path / "in.mp4").touch()
    arguments = ["track", str(tmp_path / "in.mp4"), "-o", str(tmp_path / "o.mp4"), "--point", "1,1"]
    assert main([*arguments, "--config", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    parsed = stream.cli._parser().parse_args([*arguments, "--config", str(path)])
    assert options.settings(parsed).model == "giant"


def test_an_unknown_key_ends_the_server_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream", "serve", "--config", write(tmp_path, "prot = 1")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean port" in done.stderr


def test_the_manual_lists_every_variable() -> None:
    folder = Path(__file__).parents[1] / "docs"
    text = (folder / "operating.md").read_text(encoding="utf-8")
    assert not [name for name in NAMES if f"`{variable(name)}`" not in text]


def test_variables_that_mean_a_setting_and_miss_it() -> None:
    """One letter less, and everything live would be open."""
    environment = {
        "SEGSTREAM_SESSION_KEY": "all",
        "SEGSTREAM_TOKENS": "x",
        "SEGSTREAM_PORT": "1",
        "SEGSTREAM_CONFIG": "x",
        "SEGSTREAM_CACHE": "x",
        # What Kubernetes sets for a service of this name.
        "SEGSTREAM_PORT_8080_TCP_ADDR": "10.0.0.1",
        "SEGSTREAM_SERVICE_HOST": "10.0.0.1",
    }
    assert config.misspelt(environment) == {
        "SEGSTREAM_SESSION_KEY": "SEGSTREAM_SESSION_KEYS",
        "SEGSTREAM_TOKENS": "SEGSTREAM_TOKEN",
    }
