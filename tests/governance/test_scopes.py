from __future__ import annotations

import pytest

from athanor.errors import PermissionDeniedError
from athanor.governance import check_door, opens
from athanor.types import ApiKey, Scopes


def key(**scopes: tuple[str, ...] | None) -> ApiKey:
    return ApiKey(id="k", principal="p", name="k", hint="", created_at=0.0, scopes=Scopes(**scopes))


@pytest.mark.parametrize(
    ("patterns", "name", "opened"),
    [
        (None, "anything", True),
        ((), "anything", False),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("gpt-4o",), "GPT-4o", False),
        (("gpt-*",), "gpt-4o-mini", True),
        (("gpt-*",), "my-gpt-4o", False),
        (("a", "b*"), "bcd", True),
        (("*",), "any/thing:at all", True),
        (("team/*",), "team/a/b", True),
    ],
)
def test_names_and_wildcards(patterns: tuple[str, ...] | None, name: str, opened: bool) -> None:
    assert opens(key(models=patterns), "models", name) is opened
    assert opens(key(models=patterns), "knowledge", name), "each kind is limited for itself"


def test_people_without_a_key_are_not_limited_by_one() -> None:
    assert opens(None, "models", "x")
    check_door(None, "console")


def test_a_door_that_is_not_open() -> None:
    check_door(key(doors=("chat.*",)), "chat.completions")
    with pytest.raises(PermissionDeniedError, match="not for messages"):
        check_door(key(doors=("chat.*",)), "messages")
