from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from athanor.config import SecretReference, flatten, load_settings
from athanor.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "athanor.toml"
    path.write_text(text)
    return path


def test_layers_override_each_other_and_name_their_source(tmp_path: Path) -> None:
    file = write(tmp_path, "[server]\nport = 1\nmax_body_mb = 7\n[ingest]\nworkers = 2\n")
    environment = {"ATHANOR_SERVER__PORT": "2", "ATHANOR_INGEST__WORKERS": "3"}
    loaded = load_settings(file, arguments={"server.port": 3}, environment=environment)
    assert loaded.settings.server.port == 3
    assert loaded.settings.ingest.workers == 3
    assert loaded.settings.server.max_body_mb == 7
    assert loaded.sources["server.port"] == "argument"
    assert loaded.sources["ingest.workers"] == "$ATHANOR_INGEST__WORKERS"
    assert loaded.sources["server.max_body_mb"] == str(file)
    assert "server.host" not in loaded.sources


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nprot = 1", "Did you mean 'port'"),
        ("[models.a]\nsuorce = 'x'\nsource = 'y'", "Did you mean 'source'"),
        ("[nonsense]\na = 1", "Known here"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), environment={})
    assert expected in str(caught.value)
    assert "athanor.toml" in str(caught.value)


def test_a_value_that_does_not_fit_names_its_key_and_source() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environment={"ATHANOR_SERVER__PORT": "many"}, arguments={})
    assert "server.port" in str(caught.value)
    assert "$ATHANOR_SERVER__PORT" in str(caught.value)


def test_a_file_that_is_not_toml_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings(write(tmp_path, "= nothing"), environment={})
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(tmp_path / "missing.toml", environment={})


def test_settings_are_frozen() -> None:
    settings = load_settings(environment={}).settings
    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]


def test_a_secret_is_read_late_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("hunter2\n")
    file = write(tmp_path, f'[models.m]\nsource = "http://x/v1"\napi_key = {{ file = "{secret}" }}')
    settings = load_settings(file, environment={}).settings
    reference = settings.models["m"].api_key
    assert reference is not None
    assert reference.resolve().get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(reference.resolve())
    assert not any("hunter2" in str(value) for _, value in flatten(settings))


def test_a_secret_that_is_missing_says_how_to_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    with pytest.raises(ConfigError, match="export NO_SUCH_SECRET"):
        SecretReference(env="NO_SUCH_SECRET").resolve()
    with pytest.raises(ValidationError):
        SecretReference(env="A", file=Path("/b"))


def test_flatten_lists_every_setting_once() -> None:
    keys = [key for key, _ in flatten(load_settings(environment={}).settings)]
    assert len(keys) == len(set(keys))
    assert {"home", "chat", "server.port", "knowledge.max_sentences", "ingest.timeout_s"} <= set(keys)


@given(st.integers(min_value=0, max_value=65535))
def test_every_port_survives_the_environment(port: int) -> None:
    assert load_settings(environment={"ATHANOR_SERVER__PORT": str(port)}).settings.server.port == port
