"""What has a form of its own is found to the character, and what only looks like it is not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from athanor.guards.personal import CATEGORIES, find
from athanor.guards.personal.finder import POINT
from athanor.types import Decision


def spans(text: str, least: float = POINT) -> list[tuple[str, str]]:
    return [(f.category.removeprefix("pii."), text[f.start : f.end]) for f in find(text) if f.score >= least]


FOUND = [
    ("My card is 4111 1111 1111 1111, thanks.", "card", "4111 1111 1111 1111"),
    ("amex 378282246310005", "card", "378282246310005"),
    ("5555-5555-5555-4444", "card", "5555-5555-5555-4444"),
    ("pay to GB82 WEST 1234 5698 7654 32 today", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("DE89370400440532013000", "iban", "DE89370400440532013000"),
    ("write to jane.doe+x@mail.example.co.uk.", "email", "jane.doe+x@mail.example.co.uk"),
    ("<mailto:jörg@müller-straße.example>", "email", "jörg@müller-straße.example"),
    ('mail "jane doe"@example.com now', "email", '"jane doe"@example.com'),
    ("https://x.example/?e=jane@example.com", "url", "https://x.example/?e"),
    ("reach me: jane (at) example (dot) com", "email", "jane (at) example (dot) com"),
    ("jane dot doe at example dot org", "email", "jane dot doe at example dot org"),
    ("call +49 30 901820", "phone", "+49 30 901820"),
    ("Fax: +41 (0)96 471 07 95", "phone", "+41 (0)96 471 07 95"),
    ("my phone is 345-899-3560x4587", "phone", "345-899-3560x4587"),
    ("(212) 555-0123", "phone", "(212) 555-0123"),
    ("Tel: 72 128 827", "phone", "72 128 827"),
    ("416 60 039 office", "phone", "416 60 039"),
    ("0171 2345678 is his", "phone", "0171 2345678"),
    ("from 172.61.42.192 port 22", "ip", "172.61.42.192"),
    ("host 6e40:4041:c617:e898:c11:40d2:c669:2eb4", "ip", "6e40:4041:c617:e898:c11:40d2:c669:2eb4"),
    ("2001:db8::8a2e:370:7334 answered", "ip", "2001:db8::8a2e:370:7334"),
    ("00:1B:44:11:3A:B7", "mac", "00:1B:44:11:3A:B7"),
    ("see https://github.com/torvalds/linux", "url", "https://github.com/torvalds/linux"),
    ("in /home/alice/notes.txt", "url", "/home/alice"),
    (r"C:\Users\Alice\x", "url", r"C:\Users\Alice"),
    ("send 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa coins", "crypto", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "crypto", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("0x" + "52908400098527886E0F7030069857D2E4169EE7", "crypto", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("She was born on 12 March 1985 in Kiel", "date_of_birth", "12 March 1985"),
    ("DOB: 03/12/1985", "date_of_birth", "03/12/1985"),
    ("Geburtsdatum: 12.03.1985", "date_of_birth", "12.03.1985"),
    ("né le 3 février 1971", "date_of_birth", "3 février 1971"),
    ("he is 42 years old", "age", "42"),
    ("passport number: C01X00T47", "passport", "C01X00T47"),
    ("My driver's license is F162823540116", "licence", "F162823540116"),
    ("account number 12345678", "account", "12345678"),
    ("routing number 021000021", "account", "021000021"),
    ("SWIFT code DEUTDEFF500", "account", "DEUTDEFF500"),
    ("zip code is 35350", "place", "35350"),
    ("London SW1A 1AA", "place", "SW1A 1AA"),
    ("at 48.85837, 2.294481 now", "coordinates", "48.85837, 2.294481"),
    ("40°26′46″N 79°58′56″W", "coordinates", "40°26′46″N 79°58′56″W"),
    ("ship to PSC 3294, Box 9168\nAPO AA 61487", "street", "PSC 3294, Box 9168\nAPO AA 61487"),
    ("at 24 Clarke Avenue today", "street", "24 Clarke Avenue"),
    ("wohnt Hauptstraße 12a in", "street", "Hauptstraße 12a"),
    ("12 rue de la Paix", "street", "12 rue de la Paix"),
    ("via Roma 15 è", "street", "via Roma 15"),
    ("P.O. Box 242", "street", "P.O. Box 242"),
    ("I work for Acme Widgets Ltd.", "organization", "Acme Widgets Ltd."),
]


@pytest.mark.parametrize(("text", "category", "span"), FOUND, ids=[f"{c}-{s[:24]}" for _, c, s in FOUND])
def test_found_to_the_character(text, category, span):
    assert (category, span) in spans(text, 0.4 if category == "url" else POINT)


NOTHING = [
    "card 4111 1111 1111 1112",
    "order 4111111111111112 of today",
    "GB82 WEST 1234 5698 7654 33",
    "XX82 WEST 1234 5698 7654 32",
    "we met at example.com yesterday",
    "foo@bar and @mention",
    "the meeting is at 12:30:45",
    "std::dead::beef",
    "version 1.2.3.4",
    "0.0.0.0 and 127.0.0.1",
    "1.2.3",
    "the years 1990-1995 and 2020/2021",
    "on 12.03.1985 the wall stood",
    "it cost 1 200 000 or 3.14159",
    "invoice 2024-000123",
    "ISBN 978-3-16-148410-0",
    "the passport is blue",
    "my account is locked",
    "/home/user/x and /Users/Shared/y",
    "commit 1a1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "200 to 300 people",
    "Chapter 12 and Section 3",
    "call me in 15 minutes",
]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_where_there_is_nothing(text):
    assert spans(text) == []


def test_spans_count_the_text_as_it_was_given():
    hidden = "mail jo\u200bhn@exa\u200bmple.com or \uff4a\uff41\uff4e\uff45@example.com"
    assert [s for _, s in spans(hidden)] == ["jo\u200bhn@exa\u200bmple.com", "\uff4a\uff41\uff4e\uff45@example.com"]


def test_no_finding_holds_the_text_and_none_overlaps():
    text = "Jane, jane@example.com, 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, https://x.example/users/jane?t=1"
    found = find(text)
    assert all(a.end <= b.start for a, b in pairwise(found))
    for finding in found:
        assert finding.category in CATEGORIES
        assert text[finding.start : finding.end] not in finding.reason


def test_what_scores_less_than_the_operating_point_is_proposed_to_be_let_through():
    plain, personal = (find(f"see {url}")[0] for url in ("https://example.com/docs", "https://x.example/users/jane"))
    assert (plain.decision, personal.decision) == (Decision.ALLOW, Decision.FLAG)
    assert plain.score < POINT <= personal.score


def test_an_address_is_found_with_its_town_line():
    text = "Send it to 24 Clarke Avenue Apt. 117, ON 69931, please."
    assert ("street", "24 Clarke Avenue Apt. 117, ON 69931") in spans(text)


def test_telephone_numbers_of_other_regions_by_setting():
    text = "011 123 4567 ist belegt"
    assert [f.score >= POINT for f in find(text, regions=("US",))] != [True]
    assert [f.score >= POINT for f in find(text, regions=("ZA",))] == [True]


@pytest.mark.parametrize(
    "evil",
    [
        "12 ",
        "1234 ",
        "a@",
        "a.",
        "A",
        "Aa, ",
        "1.",
        "(",
        "a:",
        "passport no is ",
        "4111 1111 1111 1111 ",
        "GB82 ",
        "born ",
        "1°1'",
    ],
)
def test_a_long_text_of_one_thing_is_read_to_its_end(evil):
    text = evil * (20_000 // len(evil)) + "\nmail jane@example.com"
    assert ("email", "jane@example.com") in spans(text)
