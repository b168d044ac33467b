from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.errors import ConfigError, NotFoundError
from athanor.guards.book import LOOK_SECONDS, Book
from athanor.guards.policy import ORIGINS, Direction, Policies
from athanor.guards.reading import parse, shipped, unheard
from athanor.types import Decision, Finding, How
from tests.guards.chains import context


def read(text: str) -> Policies:
    return parse(text, where="guards.toml")


def finding(category: str, score: float = 1.0, decision: Decision = Decision.FLAG) -> Finding:
    return Finding(guard="g", category=category, score=score, start=0, end=1, reason="r", decision=decision)


def action(policies: Policies, direction: Direction, category: str, name: str = "default") -> Decision:
    return policies.rules(policies.policies[name], direction).rule(category).action


def test_the_most_specific_pattern_counts() -> None:
    policies = read(
        '[policies.default.user]\n"*" = "flag"\n"pii.*" = "redact"\n"pii.email" = "block"\n"pii.id.*" = "allow"'
    )
    found = [action(policies, Direction.USER, c) for c in ("pii.email", "pii.phone", "pii.id.de", "pii", "toxicity")]
    assert found == [Decision.BLOCK, Decision.REDACT, Decision.ALLOW, Decision.REDACT, Decision.FLAG]


def test_a_direction_comes_before_any_and_a_policy_before_what_it_extends() -> None:
    policies = read(
        """
        [policies.default.any]
        "pii.*" = "redact"
        "secret.*" = "block"
        [policies.default.model]
        "pii.*" = "flag"
        [policies.loose]
        keys = ["x"]
        [policies.loose.any]
        "pii.*" = "allow"
        [policies.alone]
        keys = ["y"]
        extends = ""
        """
    )
    assert action(policies, Direction.MODEL, "pii.email") is Decision.FLAG
    assert action(policies, Direction.USER, "pii.email") is Decision.REDACT
    assert action(policies, Direction.MODEL, "pii.email", "loose") is Decision.ALLOW
    assert action(policies, Direction.MODEL, "secret.aws", "loose") is Decision.BLOCK
    assert action(policies, Direction.MODEL, "secret.aws", "alone") is Decision.ALLOW
    # What is written down is no origin.
    assert action(policies, Direction.RECORDED, "pii.email") is Decision.ALLOW


def test_what_nothing_follows_from_is_not_needed() -> None:
    policies = read('[policies.default.user]\n"pii.*" = "allow"\n"pii.email" = "redact"\n"injection.*" = "flag"')
    rules = policies.rules(policies.policies["default"], Direction.USER)
    assert rules.needs(["pii.*"])
    assert rules.needs(["pii.email"])
    assert not rules.needs(["pii.phone"])
    assert rules.strongest(["pii.*", "injection.rule"]) is Decision.REDACT
    assert not rules.needs(["secret.*", "toxicity.insult"])


def test_a_threshold_replaces_the_guards_own_proposal() -> None:
    policies = read('[policies.default.user]\n"a" = "flag"\n"b" = { action = "block", threshold = 0.8 }')
    rules = policies.rules(policies.policies["default"], Direction.USER)
    assert rules.decided(finding("a", 0.1)) is not None
    assert rules.decided(finding("a", 0.9, Decision.ALLOW)) is None
    decided = rules.decided(finding("b", 0.8, Decision.ALLOW))
    assert decided is not None
    assert decided.decision is Decision.BLOCK
    assert rules.decided(finding("b", 0.79)) is None


CHOICE = """
[policies.default]
[policies.gpt]
models = ["gpt-*"]
[policies.gpt4]
models = ["gpt-4"]
[policies.faq]
bases = ["faq"]
[policies.support]
keys = ["support-*"]
[policies.support-gpt]
keys = ["support-*"]
models = ["gpt-*"]
[policies.later]
bases = ["fa*"]
models = ["never"]
"""


@pytest.mark.parametrize(
    ("key", "base", "model", "name"),
    [
        (None, None, "other", "default"),
        (None, None, "gpt-3", "gpt"),
        (None, None, "gpt-4", "gpt4"),
        (None, "faq", "gpt-4", "faq"),
        ("support-1", "faq", "other", "support"),
        ("support-1", None, "gpt-4", "support-gpt"),
        ("sales", None, "x", "default"),
    ],
)
def test_the_most_specific_policy_counts(key: str | None, base: str | None, model: str, name: str) -> None:
    policies = read(CHOICE)
    for _ in range(2):  # the second time it is remembered
        assert policies.of(context(key), base=base, model=model).name == name


def test_a_key_is_known_by_its_id_too() -> None:
    policies = read('[policies.default]\n[policies.one]\nkeys = ["key_abc"]')
    assert policies.of(context("abc"), base=None, model="m").name == "one"


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("[policies.default]\nx y", "guards.toml", "line 2", None),
        ("[policy.default]", "guards.toml:1", "Unknown key 'policy'", "Did you mean 'policies'?"),
        ("", "guards.toml", "no policy named 'default'", "default"),
        ("[policies.default]\nabuot = 1", "guards.toml:2", "policies.default.abuot", "'about'"),
        ("[policies.default]\n\n[policies.default.usr]\n", "guards.toml:3", "policies.default.usr", "'user'"),
        (
            '[policies.default.user]\n# a line\n"pii.email" = "redakt"',
            "guards.toml:3",
            'policies.default.user."pii.email" has no action',
            "'redact'",
        ),
        (
            '[policies.default.user]\n"a" = "flag"\n"pii.email" = { action = "redact", threshold = 1.5 }',
            "guards.toml:3",
            "no number from 0 to 1",
            None,
        ),
        (
            '[policies.default.user]\n"pii.email" = { action = "redact", how = "pseudonyms" }',
            "guards.toml:2",
            "no 'how' that is known",
            "'pseudonym'",
        ),
        ('[policies.default.user]\n"a" = { action = "flag", how = "mask" }', "guards.toml:2", "redacts nothing", None),
        ('[policies.default.user]\n"a" = { actoin = "flag" }', "guards.toml:2", "'actoin'", "'action'"),
        ('[policies.default.user]\n"PII!" = "flag"', "guards.toml:2", "no category", "pii.*"),
        ('[policies.default]\nkeys = ["a"]', "guards.toml:2", "counts everywhere", None),
        ('[policies.default]\n[policies.b]\nkeys = "a"', "guards.toml:3", "no list of names", None),
        ('[policies.default]\n[policies.b]\nextends = "deflt"', "guards.toml:3", "no policy 'deflt'", "'default'"),
        (
            '[policies.default]\n[policies.b]\nextends = "c"\n[policies.c]\nextends = "b"',
            "guards.toml:5",
            "itself",
            None,
        ),
        ("[policies.default]\nuser = 1", "guards.toml:2", "no table of rules", None),
        ("[policies]\ndefault = 1", "guards.toml:2", "no table", None),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, where: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in caught.value.message
    assert caught.value.where == where
    assert hint is None or (caught.value.hint is not None and hint in caught.value.hint)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"[policies.default]\n{text}", f"[policies.default.user]\n{text}"):
        try:
            assert "default" in read(candidate).policies
        except ConfigError as error:
            assert error.message


def test_a_category_may_be_written_with_dots_or_in_quotes() -> None:
    quoted = read('[policies.default.user]\n"pii.email" = { action = "redact", how = "hash" }')
    dotted = read('[policies.default.user]\npii.email = { action = "redact", how = "hash" }\npii.phone = "flag"')
    for policies in (quoted, dotted):
        rule = policies.rules(policies.policies["default"], Direction.USER).rule("pii.email")
        assert (rule.action, rule.how) == (Decision.REDACT, How.HASH)
    assert action(dotted, Direction.USER, "pii.phone") is Decision.FLAG


def test_rules_that_nobody_fulfils_are_named() -> None:
    policies = read(
        '[policies.default.user]\n"pii.emial" = "redact"\n"pii.*" = "flag"\n"*" = "flag"\n"secret.*" = "flag"'
    )
    assert [line.rpartition(" ")[2] for line in unheard(policies, ["pii.email", "pii.phone", "secret.*"])] == [
        "'pii.emial'"
    ]


def test_the_shipped_policies_hinder_nobody_and_give_no_secret_away() -> None:
    policies = shipped()
    user = policies.rules(policies.policies["default"], Direction.USER)
    assert all(rule.action in {Decision.FLAG, Decision.ALLOW} for rule in user)
    assert action(policies, Direction.DOCUMENT, "injection.rule") is Decision.REDACT
    assert action(policies, Direction.MODEL, "leak.canary") is Decision.BLOCK
    assert action(policies, Direction.MODEL, "secret.aws") is Decision.REDACT
    assert action(policies, Direction.MODEL, "link.exfiltration") is Decision.REDACT
    assert action(policies, Direction.MODEL, "terminal.escape") is Decision.REDACT
    assert action(policies, Direction.RECORDED, "pii.email") is Decision.REDACT
    assert all(action(policies, direction, "pii.email") is Decision.ALLOW for direction in ORIGINS)


# The file.


def test_without_a_file_the_shipped_policies_count(tmp_path: Path) -> None:
    book = Book(tmp_path / "guards.toml")
    assert book.current.version == shipped().version
    assert book.source == "default.toml"
    assert [kept.version for kept in book.versions()] == [shipped().version]


def test_saving_puts_in_force_and_keeps_what_was(tmp_path: Path) -> None:
    file = tmp_path / "guards.toml"
    book = Book(file)
    before = book.current
    after = book.save('[policies.default.user]\n"pii.*" = "block"')
    assert book.current is after
    assert Book(file).current.version == after.version
    assert {kept.version for kept in book.versions()} == {before.version, after.version}
    assert book.text(before.version) == before.text
    assert book.text(after.version) == file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(NotFoundError):
        book.text("../guards")


def test_a_wrong_text_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "guards.toml"
    book = Book(file)
    book.save("[policies.default]")
    with pytest.raises(ConfigError):
        book.save("[policies.default]\nx = 1")
    assert file.read_text() == "[policies.default]"
    assert len(book.versions()) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_wrong_file_keeps_the_system_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "guards.toml"
    file.write_text("[policies.default]\nx = 1")
    with pytest.raises(ConfigError) as caught:
        Book(file)
    assert caught.value.where == f"{file}:2"


def test_changes_by_hand_count_and_mistakes_do_not(tmp_path: Path) -> None:
    file = tmp_path / "guards.toml"
    book = Book(file)
    first = book.current.version
    file.write_text('[policies.default.user]\n"pii.*" = "block"')
    book._looked -= LOOK_SECONDS + 1
    second = book.current.version
    assert second != first
    file.write_text("nonsense")
    book._looked -= LOOK_SECONDS + 1
    assert book.current.version == second
    assert book.problem is not None
    file.write_text("[policies.default]")
    book._looked -= LOOK_SECONDS + 1
    assert book.current.version not in {first, second}
    assert book.problem is None
