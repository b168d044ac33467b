from __future__ import annotations

import pytest

from athanor.config import ModelSettings, PriceSettings
from athanor.models import LOCAL_LACKS, listing, prices, resolve_chat
from athanor.types import AnswerMode, Price, Usage
from tests.models.makers import gguf


@pytest.mark.parametrize(
    ("name", "vendor", "prompt"),
    [
        ("gpt-4o", "openai", 2.5),
        ("gpt-4o-2024-08-06", "openai", 2.5),
        ("gpt-4o-2024-05-13", "openai", 5),
        ("gpt-4o-mini", "openai", 0.15),
        ("claude-opus-4-5-20251101", "anthropic", 5),
        ("models/gemini-2.5-pro", "gemini", 1.25),
        ("text-embedding-3-small", "openai", 0.02),
    ],
)
def test_a_snapshot_costs_what_its_model_costs_unless_it_is_listed(name, vendor, prompt):
    found = listing(name)
    assert (found.vendor, found.price.prompt) == (vendor, prompt)


@pytest.mark.parametrize("name", ["gpt-4o-audio", "ft:gpt-4o:org::1", "llama3", "", "gpt-4o-2024"])
def test_what_is_not_listed_is_not_guessed(name):
    assert listing(name) is None


def test_every_listing_is_a_price():
    for name, found in prices._listings().items():
        price = found.price
        assert price.prompt > 0, name
        assert price.completion == 0 or price.completion >= price.prompt, name
        assert price.cached is None or 0 < price.cached < price.prompt, name
        assert price.written is None or price.written > price.prompt, name
        assert found.context >= 2048, name


def test_cached_tokens_cost_their_own_price():
    price = listing("claude-sonnet-4-5").price
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, written_tokens=100_000, completion_tokens=10_000)
    assert price.of(usage) == pytest.approx(0.5 * 3 + 0.4 * 0.3 + 0.1 * 3.75 + 0.01 * 15)


def test_a_model_at_a_url_has_its_vendors_price_and_context(tmp_path):
    settings = ModelSettings(source="https://api.openai.com/v1", upstream="gpt-4o-mini")
    profile = resolve_chat("small", settings, tmp_path).profile
    assert (profile.name, profile.context, profile.price.cached) == ("small", 128_000, 0.075)
    assert (profile.remote, profile.temperature, profile.json_schema) == (True, None, True)
    assert profile.lacks == frozenset()


def test_settings_win(tmp_path):
    settings = ModelSettings(
        source="https://api.openai.com/v1",
        upstream="gpt-4o-mini",
        price=PriceSettings(prompt=1, completion=2, cached=0.5),
        context=9,
        max_tokens=7,
        grounded=AnswerMode.EXTRACTIVE,
        lacks=("json_schema", "tools"),
        drop=True,
        quality=0.5,
    )
    profile = resolve_chat("small", settings, tmp_path).profile
    assert profile.price == Price(prompt=1, completion=2, cached=0.5)
    assert (profile.context, profile.max_tokens, profile.grounded) == (9, 7, AnswerMode.EXTRACTIVE)
    assert profile.lacks == {"json_schema", "tools"}
    assert (profile.json_schema, profile.drop, profile.quality) == (False, True, 0.5)


def test_an_unknown_model_at_a_url_costs_nothing(tmp_path):
    profile = resolve_chat("far", ModelSettings(source="http://127.0.0.1:11434/v1"), tmp_path).profile
    assert profile.price.of(Usage(prompt_tokens=10**6)) == 0


def test_a_local_model_is_priced_by_the_second_and_lacks_what_it_cannot_do(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf())
    settings = ModelSettings(source=str(path), price=PriceSettings(second=0.001), quality=0.2, lacks=("seed",))
    profile = resolve_chat("mine", settings, tmp_path).profile
    assert profile.price.of(Usage(prompt_tokens=10**6, seconds=2)) == pytest.approx(0.002)
    assert profile.lacks == LOCAL_LACKS | {"seed"}
    assert (profile.remote, profile.temperature, profile.quality) == (False, 0.0, 0.2)


def test_a_script_lacks_what_the_settings_say_and_nothing_else(tmp_path):
    assert resolve_chat("s", ModelSettings(source="scripted:"), tmp_path).profile.lacks == frozenset()
    settings = ModelSettings(source="scripted:", lacks=("tools",), drop=True)
    profile = resolve_chat("s", settings, tmp_path).profile
    assert (profile.lacks, profile.drop) == ({"tools"}, True)
