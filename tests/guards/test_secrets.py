"""Secrets are found to the character, whatever stands around them, and words are not taken for them."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from athanor.governance.secrets import Secret
from athanor.guards import Guard
from athanor.guards.builtin.secrets import SecretsGuard
from athanor.guards.normalise import subject_of
from athanor.types import Decision, Finding, Origin
from tests.guards.chains import context


def found(text: str) -> tuple[Finding, ...]:
    return asyncio.run(SecretsGuard().check(subject_of(text), Origin.MODEL, context())).findings


def spans(text: str) -> dict[str, str]:
    return {text[f.start : f.end]: f.category for f in found(text)}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


JWT = f"{b64(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())}.{b64(b'{}' * 9)}.{b64(b'x' * 32)}"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEpAIBAAKCAQEA0Z3V' * 20}\n-----END RSA PRIVATE KEY-----"
# Put together, so that no scanner of repositories takes them for lost ones.
SECRETS = {
    Secret.new("ath_").reveal(): "secret.athanor",
    Secret.new("aths_").reveal(): "secret.athanor",
    "AKIA" + "IOSFODNN7EXAMPLE": "secret.aws",
    "ghp_" + "a1B2c3D4" * 5: "secret.github",
    "github_pat_" + "11ABCDEFG0" * 4: "secret.github",
    "glpat-" + "x1Y2z3W4v5U6t7S8r9Q0": "secret.gitlab",
    "xoxb-" + "123456789012-123456789012-AbCdEf": "secret.slack",
    "https://hooks.slack.com/services/" + "T00000000/B00000000/XXXXXXXXXXXX": "secret.slack",
    "sk-ant-" + "api03-abcDEF123456_7890-ghijkl": "secret.anthropic",
    "sk-proj-" + "abcDEF123456_7890-ghijkl": "secret.openai",
    "AIza" + "Sy0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV": "secret.google",
    "hf_" + "abcdefGHIJKLmnopQRSTuvwxYZabcdefGHij": "secret.huggingface",
    "npm_" + "a1B2c3D4e5F6" * 3: "secret.npm",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc": "secret.stripe",
    "SG." + "a" * 22 + "." + "b" * 43: "secret.sendgrid",
    "AGE-SECRET-KEY-1" + "Q2W3E4R5T6" * 6: "secret.private_key",
    JWT: "secret.jwt",
    PEM: "secret.private_key",
}


@pytest.mark.parametrize("secret", SECRETS, ids=[f"{n}-{c}" for n, c in enumerate(SECRETS.values())])  # some are random
def test_a_secret_is_found_to_the_character(secret: str) -> None:
    for before, after in (
        ("", ""),
        ("Take ", ", please."),
        ("x = '", "'\n"),
        ("(", ")"),
        ("first\nline: ", "\nlast line"),
    ):
        text = f"{before}{secret}{after}"
        assert {s: c for s, c in spans(text).items() if c == SECRETS[secret]} == {secret: SECRETS[secret]}


@pytest.mark.parametrize(
    ("text", "value", "category"),
    [
        ("postgresql://app:s3cr3t-Pa55@db.example.org/app", "s3cr3t-Pa55", "secret.url"),
        ("Authorization: Bearer abcdef0123456789.xyz", "abcdef0123456789.xyz", "secret.authorization"),
        ("The password is tr0ub4dor&3.", "tr0ub4dor&3", "secret.password"),
        ('DB_PASSWORD="correct-Horse-7-battery"', "correct-Horse-7-battery", "secret.password"),
        ("client_secret: 9f8e7d6c5b4a39281706", "9f8e7d6c5b4a39281706", "secret.password"),
        ("AccountKey=" + "Ab1+" * 21 + "Ab==", "Ab1+" * 21 + "Ab==", "secret.azure"),
    ],
)
def test_of_a_named_secret_the_value_alone_is_found(text: str, value: str, category: str) -> None:
    assert spans(text)[value] == category


@pytest.mark.parametrize(
    "text",
    [
        "The password is required. Your password must have eight letters.",
        "password = os.environ['DB_PASSWORD_2']",
        "secret = Secret.new(PREFIX2)",
        'api_key = "your-api-key-1234"',
        "password: ********",
        "postgresql://user:password@localhost/db",
        "https://example.org/a:b/c@d",
        "The hash is 5eb63bbbe01eeed093cb22bb8f5acdc3.",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJust a word that begins oddly",
        "sk-learn and sk-image are packages",
        "Chapter APPENDIX2024 of AKIA",
    ],
)
def test_what_is_no_secret_is_let_be(text: str) -> None:
    assert found(text) == ()


def test_a_private_key_without_its_end_is_found_to_the_end_of_the_text() -> None:
    text = f"Here: {PEM[:150]}"
    (finding,) = found(text)
    assert (finding.start, finding.end) == (6, len(text))
    assert finding.decision is Decision.REDACT


def test_two_private_keys_are_two_findings_and_the_words_between_are_kept() -> None:
    text = f"{PEM}\nand\n{PEM}"
    assert [text[f.start : f.end] for f in found(text)] == [PEM, PEM]


def test_a_secret_is_found_where_letters_that_nobody_sees_part_it() -> None:
    secret = "ghp_" + "a1B2c3D4" * 5
    text = f"See {secret[:12]}\u200b{secret[12:]} there"
    (finding,) = found(text)
    assert text[finding.start : finding.end] == f"{secret[:12]}\u200b{secret[12:]}"


def test_a_secret_is_found_in_what_is_encoded() -> None:
    hidden = base64.b64encode(b"the key is ghp_" + b"a1B2c3D4" * 5).decode()
    text = f"Decode {hidden} now"
    assert [text[f.start : f.end] for f in found(text) if f.category == "secret.github"] == [hidden]


def test_a_finding_holds_nothing_of_the_secret() -> None:
    for secret in SECRETS:
        for finding in found(f"It is {secret}."):
            assert secret[8:20] not in repr(finding)


def test_it_is_a_guard_and_names_all_it_finds() -> None:
    guard = SecretsGuard()
    assert isinstance(guard, Guard)
    assert guard.reach
    for secret in SECRETS:
        assert {f.category for f in found(secret)} <= guard.categories


@pytest.mark.parametrize(
    "piece", ["password", "password=", "a://b:", "-----BEGIN PRIVATE KEY-----", "eyJ", "aws key ", "secret: '"]
)
def test_no_text_takes_it_long(piece: str) -> None:
    # Under a timeout of the suite: what is quadratic here takes minutes.
    found(piece * (200_000 // len(piece)))
