"""A wrong value or a mistyped name is reported in one line that says what is allowed."""

from pathlib import Path

import pytest

from server.config.loading import SettingsError, load_settings
from server.config.mistyped import unknown_settings
from server.config.reference import describe_settings

WRONG = "wrong, certainly"
# Every text is a valid value of these.
TEXTS = {
    "MESSENGER_HOST",
    "MESSENGER_GITHUB_CLIENT_ID",
    "MESSENGER_GITHUB_CLIENT_SECRET",
    "MESSENGER_OIDC_CLIENT_ID",
    "MESSENGER_OIDC_CLIENT_SECRET",
    "MESSENGER_OIDC_NAME",
    "MESSENGER_JWT_ISSUER",
    "MESSENGER_JWT_AUDIENCE",
}
SECRETS = {"MESSENGER_DATABASE_URL", "MESSENGER_BROADCAST_URL", "MESSENGER_SECRET_KEY"}
SETTINGS = [name for name, _, _ in describe_settings() if name not in TEXTS]
# What must be in the line, by the kind of setting.
ALLOWED = (
    "on or off",
    "a whole number from ",
    "a whole number of at least ",
    "a number from ",
    "a number greater than ",
    "a URL such as ",
    "an http or https URL",
    "an https URL such as https://",
    "the path of an existing file",
    "the path of a directory",
    "at least 32 random characters",
    "process or database",
    "auto, console or json",
    "an origin such as https://",
    "the name of a header such as ",
    "an address or network such as ",
    "the full URL of a page, such as https://",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings are read in a folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint() -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_value_is_reported_with_the_setting_the_value_and_what_is_allowed(
    name: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    value = WRONG
    if name == "MESSENGER_DATA_DIR":
        (elsewhere / WRONG).touch()
    if name in {"MESSENGER_ALLOWED_HEADERS", "MESSENGER_ALLOWED_ORIGINS", "MESSENGER_REDIRECT_URIS"}:
        value = f"x,{WRONG} {WRONG}" if name == "MESSENGER_ALLOWED_HEADERS" else WRONG
    monkeypatch.setenv(name, value)
    line = complaint()
    assert line.startswith(f"{name} ")
    assert any(allowed in line for allowed in ALLOWED), line
    assert "\n" not in line
    # A list names the part that is wrong.
    assert ("wrong" in line) == (name not in SECRETS), line
    # Nothing is left of what pydantic says.
    assert "Input" not in line
    assert "valid" not in line


@pytest.mark.parametrize("number", ["-1", "nan", "inf", "1e400", "1" * 5000, "0x10", "1.5.1"])
def test_a_number_out_of_range_is_reported_with_its_range(number: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESSENGER_DRAIN_SECONDS", number)
    assert complaint().startswith('MESSENGER_DRAIN_SECONDS must be a number from 0 to 86400, not "')
    assert len(complaint()) < 200


@pytest.mark.parametrize("path", ["x" * 5000, "/", "/dev/null/file"])
def test_a_path_that_is_not_a_file_is_reported(path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESSENGER_TRUSTED_DOCUMENTS", path)
    assert complaint().startswith('MESSENGER_TRUSTED_DOCUMENTS must be the path of an existing file, not "')


def test_the_password_of_a_url_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESSENGER_GITHUB_URL", "https://me:hunter2@github.example")
    assert complaint().endswith(', not "https://…@github.example"')


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MESSENGER_PROT", "MESSENGER_PORT"),
        ("messenger_wokers", "MESSENGER_WORKERS"),
        ("MESSENGER_DATABSE_URL", "MESSENGER_DATABASE_URL"),
        ("MESSENGER_ALLOWED_ORIGIN", "MESSENGER_ALLOWED_ORIGINS"),
        ("MESENGER_PORT", "MESSENGER_PORT"),
        ("MESSENGER_LOGFORMAT", "MESSENGER_LOG_FORMAT"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_mistyped_name_is_reported_with_the_right_one(
    name: str, meant: str, place: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    if place == "file":
        (elsewhere / ".env").write_text(f"{name}=1\n")
    else:
        monkeypatch.setenv(name, "1")
    assert complaint() == f"{name.upper()} is not a setting. Did you mean {meant}?"


@pytest.mark.parametrize(
    "line", ["MESSENGER PORT=9000", "MESSENGER_PORT='9000", "nothing = 'a' 'b'", "MESSENGER_RATE_LIMITS"]
)
def test_a_line_that_cannot_be_read_is_reported(line: str, elsewhere: Path):
    (elsewhere / ".env").write_text(f"MESSENGER_WORKERS=1\n\n# comment\n\n{line}\nMESSENGER_HOST=127.0.0.1\n")
    assert complaint() == "line 5 of .env cannot be read: write NAME=value, in quotes that are closed"


def test_a_file_that_is_not_utf_8_is_reported(elsewhere: Path):
    (elsewhere / ".env").write_bytes(b"MESSENGER_WORKERS=1\n# caf\xe9\n")
    assert complaint() == ".env cannot be read: it is not UTF-8"


def test_names_of_other_programs_and_versions_are_allowed_and_listed(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    """Kubernetes sets some for a service of this name, and a rollback leaves those of the newer version."""
    monkeypatch.setenv("MESSENGER_URL", "http://localhost:9000")
    monkeypatch.setenv("MESSENGER_SERVICE_HOST", "10.0.0.1")
    (elsewhere / ".env").write_text("MESSENGER_MAX_STREAMS_PER_TEAM=5\nPROT=1\nMESSENGER_PORT=9000\n")
    assert load_settings().port == 9000
    assert unknown_settings() == ["MESSENGER_MAX_STREAMS_PER_TEAM", "MESSENGER_SERVICE_HOST", "MESSENGER_URL"]


def test_each_name_with_a_letter_too_many_leads_to_that_name(monkeypatch: pytest.MonkeyPatch):
    for name, _, _ in describe_settings():
        monkeypatch.setenv(f"{name}X", "1")
        assert complaint() == f"{name}X is not a setting. Did you mean {name}?"
        monkeypatch.delenv(f"{name}X")
