"""Guards of other distributions: found by entry points, held to the same rules, and no danger to the start."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from athanor.config import load_settings
from athanor.errors import ConfigError
from athanor.guards import Chain, Parts, secret_of
from athanor.guards.parts import find
from athanor.store import Store
from athanor.testing import HashEmbedder
from athanor.testing.guards import GuardConformance
from athanor.types import Decision, Origin
from tests.guards.chains import ask, context

pytestmark = pytest.mark.anyio

SOURCE = '''
    """A guard that somebody else wrote."""

    from athanor.guards import Guard, Parts, Subject
    from athanor.types import Context, Decision, Finding, Origin, Verdict


    class ShoutGuard:
        """Finds words in capitals."""

        name = "shout"
        categories = frozenset({"style.shout"})
        reach = 64

        def __init__(self, home):
            self.home = home

        @classmethod
        def make(cls, parts: Parts) -> "ShoutGuard":
            return cls(parts.settings.home)

        async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
            found, at = [], 0
            for word in subject.text.split(" "):
                if len(word) > 3 and word.isascii() and word.isalpha() and word.isupper():
                    span = {"start": at, "end": at + len(word)}
                    found.append(Finding(guard="shout", category="style.shout", score=0.8, reason="capitals", **span))
                at += len(word) + 1
            return Verdict(findings=tuple(found))


    class Misnamed(ShoutGuard):
        name = "other"


    class NoGuard:
        pass


    class Broken:
        def __init__(self):
            raise RuntimeError("boom")
'''
POINTS = """
[athanor.guards]
shout = shouting_guards:ShoutGuard
misnamed = shouting_guards:Misnamed
no_guard = shouting_guards:NoGuard
broken = shouting_guards:Broken
gone = shouting_guards:Gone
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with guards, as pip would leave it."""
    folder = tmp_path / "site"
    info = folder / "shouting_guards-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "shouting_guards.py").write_text(textwrap.dedent(SOURCE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting-guards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("shouting_guards", None)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = load_settings(arguments={"home": str(tmp_path / "home")}, environment={}).settings
    settings.home.mkdir()
    store = Store.open(f"sqlite:///{settings.home / 'a.db'}", blobs=settings.home / "blobs")
    yield Parts(settings=settings, store=store, embedder=HashEmbedder(), secret=secret_of(settings.home))
    store.close()


@pytest.mark.usefixtures("installed")
async def test_a_guard_of_another_distribution_works_once_a_policy_names_it(parts: Parts) -> None:
    chain = Chain.make(parts)
    assert "shout" in {guard.name for guard in chain.guards}
    assert "rules" in {guard.name for guard in chain.guards}
    assert (await chain.admit(ask("WHAT is it"), context())).request.messages[0].content == "WHAT is it"
    chain.book.save('[policies.default.user]\n"style.*" = { action = "redact", threshold = 0.5 }')
    assert (await chain.admit(ask("WHAT is it"), context())).request.messages[0].content == "[STYLE] is it"
    chain.book.save('[policies.default.user]\n"style.*" = { action = "redact", threshold = 0.9 }')
    verdict = await chain.check("WHAT is it", Origin.USER, context())
    assert verdict.decision is Decision.ALLOW


@pytest.mark.usefixtures("installed")
def test_guards_that_cannot_be_made_are_named_and_take_no_other_with_them(parts: Parts) -> None:
    found = find(parts)
    assert {"misnamed", "no_guard", "broken", "gone"} <= set(found.missing)
    assert "other" in found.missing["misnamed"].message
    assert "no Guard" in found.missing["no_guard"].message
    assert "boom" not in str(found.missing["broken"])


@pytest.mark.usefixtures("installed")
class TestShout(GuardConformance):
    finds = (("please STOP that", "style.shout"),)
    lets = ("please stop that", "NO")

    @pytest.fixture
    async def guard(self, installed: None, tmp_path: Path) -> object:
        import shouting_guards  # noqa: PLC0415

        return shouting_guards.ShoutGuard(tmp_path)


def test_the_key_of_an_installation_stays_the_same_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    first = secret_of(tmp_path)
    assert len(first) == 32
    assert secret_of(tmp_path) == first
    file = tmp_path / "guards.key"
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["guards.key"]
    for wrong in ("not hex", "abcd"):
        file.write_text(wrong)
        with pytest.raises(ConfigError) as caught:
            secret_of(tmp_path)
        assert caught.value.where == str(file)


def test_each_purpose_has_a_key_of_its_own(parts: Parts) -> None:
    assert parts.key("events") != parts.key("pseudonyms")
    assert parts.secret.hex() not in repr(parts)
