"""Check digits: published examples agree, and one digit that is not the right one is noticed."""

from __future__ import annotations

import random

import pytest

from athanor.guards.personal import checks, crypto, id_checks, letters
from athanor.guards.personal.cards import find as find_cards
from athanor.guards.personal.cards import issued
from athanor.guards.personal.iban import LENGTHS
from athanor.guards.personal.iban import find as find_ibans
from athanor.guards.personal.ids import KINDS
from athanor.guards.personal.ids import find as find_ids
from athanor.guards.personal.letters import find as find_letters

# From the issuers' own pages and the articles on each scheme.
PUBLISHED = {
    checks.luhn: "79927398713",
    checks.verhoeff: "2363",
    id_checks.us_ssn: "123456789",
    id_checks.us_itin: "912903456",
    id_checks.uk_nhs: "9434765919",
    id_checks.de_steuer_id: "86095742719",
    id_checks.fr_nir: "255081416802538",
    id_checks.nl_bsn: "123456782",
    id_checks.pl_pesel: "44051401359",
    id_checks.no_fnr: "15108695088",
    id_checks.se_personnummer: "8112289874",
    id_checks.dk_cpr: "2110625629",
    id_checks.br_cpf: "39053344705",
    id_checks.in_aadhaar: "234123412346",
    id_checks.au_tfn: "123456782",
    id_checks.au_medicare: "2123456701",
    id_checks.ca_sin: "123456782",
    id_checks.be_rrn: "85073003328",
    id_checks.ch_ahv: "7569217076985",
    id_checks.at_svnr: "1237010180",
    id_checks.pt_nif: "123456789",
    id_checks.ro_cnp: "1630615123457",
    id_checks.bg_egn: "7523169263",
    id_checks.tr_tckn: "10000000146",
    id_checks.za_id: "7503305044089",
    id_checks.kr_rrn: "9710139019902",
    id_checks.cz_rc: "7103192745",
    id_checks.ee_lt_code: "36805280109",
    id_checks.hr_oib: "33392005961",
    id_checks.jp_my_number: "621498320257",
    id_checks.il_id: "039337423",
    letters.es_dni: "12345678Z",
    letters.it_cf: "RSSMRA85T10A562S",
    letters.fi_hetu: "131052-308T",
    letters.ie_pps: "1234567T",
    letters.sg_nric: "S1234567D",
    letters.cn_ric: "11010519491231002X",
    letters.mx_curp: "BOXW310820HNERXN09",
    letters.cl_rut: "125319092",
    letters.tw_id: "A123456789",
    crypto.base58check: "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    crypto.bech32: "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
}
# Schemes that cannot notice every wrong digit: no check digit at all, weights that share a factor with ten, or a second
# valid reading (a number of before or after 2000).
BLIND = {
    id_checks.us_ssn, id_checks.us_itin, id_checks.dk_cpr, id_checks.au_medicare, id_checks.pl_pesel, id_checks.be_rrn,
    id_checks.pt_nif, id_checks.kr_rrn, id_checks.bg_egn, id_checks.at_svnr, id_checks.tr_tckn, letters.it_cf,
    letters.mx_curp, id_checks.ro_cnp, id_checks.uk_nhs, id_checks.ee_lt_code, id_checks.br_cpf, id_checks.jp_my_number,
    letters.tw_id,
}  # fmt: skip


@pytest.mark.parametrize("check", PUBLISHED, ids=lambda check: check.__name__)
def test_published_examples_agree(check):
    assert check(PUBLISHED[check])


@pytest.mark.parametrize("check", [c for c in PUBLISHED if c not in BLIND], ids=lambda check: check.__name__)
def test_one_wrong_digit_is_noticed(check):
    good = PUBLISHED[check]
    for place, char in enumerate(good):
        if char.isdigit():
            for other in set("0123456789") - {char}:
                bad = good[:place] + other + good[place + 1 :]
                assert not _agrees(check, bad), bad


def _agrees(check, number: str) -> bool:
    try:
        return bool(check(number))
    except ValueError:  # no such date
        return False


def made(kind, rng: random.Random) -> str:
    """A random number that agrees, by trying."""
    while True:
        digits = "".join(rng.choice("0123456789") for _ in range(kind.length))
        if kind.length == 13 and kind.name.startswith("Swiss"):
            digits = "756" + digits[3:]
        elif kind.length > 8 and rng.random() < 0.9:  # most hold a date, in one order or the other
            year, month, day = f"{rng.randint(0, 99):02}", f"{rng.randint(1, 12):02}", f"{rng.randint(1, 28):02}"
            front = rng.choice(["", rng.choice("123456"), rng.choice(["19", "20"])])
            date = rng.choice([year + month + day, day + month + year])
            digits = (front + date + digits)[: kind.length]
        if kind.check(digits):
            return digits


@pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: f"{kind.name}-{kind.length}-{'strict' if kind.strict else 'loose'}"
)
def test_random_numbers_are_found_beside_their_word(kind):
    rng = random.Random(kind.name)
    word = next(w for w in _words(kind) if w.isascii() or True)
    for _ in range(20):
        digits = made(kind, rng)
        text = f"{word}: {digits}."
        assert any(text[s.start : s.end] == digits and s.score == 1.0 for s in find_ids(text)), text
        for shape, separators in kind.shapes.items():
            if len(shape) > 1:
                written = grouped(digits, shape, separators[0])
                text = f"{word} {written}"
                assert any(text[s.start : s.end] == written for s in find_ids(text)), text


def _words(kind) -> list[str]:
    names = {"US social": "ssn", "US taxpayer": "itin"}
    return [next((w for start, w in names.items() if kind.name.startswith(start)), _first(kind.words.pattern))]


def _first(pattern: str) -> str:
    inner = pattern[pattern.index("(?:") + 3 :]
    return inner.split("|")[0].replace(r"[\s_-]{1,3}", " ").replace("\\", "").split(")")[0]


def grouped(digits: str, shape: tuple[int, ...], separator: str) -> str:
    parts, at = [], 0
    for size in shape:
        parts.append(digits[at : at + size])
        at += size
    return separator.join(parts)


def test_a_number_without_its_word_and_groups_is_left_alone():
    assert not [s for s in find_ids("we counted 123456782 of them") if s.score >= 0.5]


def luhn_digit(body: str) -> str:
    return next(d for d in "0123456789" if checks.luhn(body + d))


def test_random_cards_are_found_and_one_flipped_digit_is_not():
    rng = random.Random(7)
    for prefix, length in (
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("3528", 16),
        ("36", 14),
        ("62", 19),
    ):
        for _ in range(25):
            body = prefix + "".join(rng.choice("0123456789") for _ in range(length - len(prefix) - 1))
            card = body + luhn_digit(body)
            assert issued(card)
            spaced = " ".join(card[at : at + 4] for at in range(0, length, 4))
            for text in (f"my card {card} is lost", f"my card: {spaced}"):
                assert [text[s.start : s.end].replace(" ", "") for s in find_cards(text)] == [card]
            place = rng.randrange(length)
            flipped = card[:place] + rng.choice(sorted(set("0123456789") - {card[place]})) + card[place + 1 :]
            assert not [*find_cards(f"my card {flipped} is lost")]


def test_random_ibans_are_found_and_one_flipped_digit_is_not():
    rng = random.Random(8)
    for country, length in LENGTHS.items():
        body = "".join(rng.choice("0123456789") for _ in range(length - 4))
        rest = int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
        iban = f"{country}{98 - rest:02}{body}"
        spaced = " ".join(iban[at : at + 4] for at in range(0, length, 4))
        for text in (f"to {iban}.", f"to {spaced}, now", f"to {iban.lower()}"):
            assert [text[s.start : s.end].replace(" ", "").upper() for s in find_ibans(text)] == [iban]
        place = rng.randrange(4, length)
        flipped = iban[:place] + str((int(iban[place]) + 1) % 10) + iban[place + 1 :]
        assert not [*find_ibans(f"to {flipped}.")]


@pytest.mark.parametrize(
    "text",
    ["AB123456C", "12345678Z", "X1234567L", "RSSMRA85T10A562S", "131052-308T", "ACUPA7085R", "1234567T", "S1234567D",
     "11010519491231002X", "BOXW310820HNERXN09", "12.531.909-2", "A123456789"],
)  # fmt: skip
def test_numbers_with_letters_are_found(text):
    whole = f"({text})"
    assert [whole[s.start : s.end] for s in find_letters(whole)][:1] == [text]


@pytest.mark.parametrize(
    "text", ["BG123456A", "12345678A", "RSSMRA85T10A562T", "131052-308U", "S1234567E", "X12AB123456CX"]
)
def test_numbers_with_a_wrong_letter_are_not(text):
    assert not [*find_letters(f"({text})")]
