"""Check digits of the numbers that states give to people, in digits only.

Each takes the digits without separators. Sources: the issuing bodies' own descriptions, named in each.
"""

from __future__ import annotations

from athanor.guards.personal.checks import birthday, day, ean, luhn, mod11_10, verhoeff, weighted


def us_ssn(n: str) -> bool:
    """Social Security Administration: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    return n[:3] not in {"000", "666"} and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000"


def us_itin(n: str) -> bool:
    """Internal Revenue Service: 9xx, and a group of 50–65, 70–88, 90–92 or 94–99."""
    group = int(n[3:5])
    return n[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or group >= 94)


def uk_nhs(n: str) -> bool:
    """NHS Data Dictionary: weights 10 to 2, modulo 11."""
    rest = 11 - weighted(n, range(10, 1, -1), 11)
    return rest != 10 and rest % 11 == int(n[9]) and len(set(n)) > 1


def de_steuer_id(n: str) -> bool:
    """Bundeszentralamt für Steuern: ISO 7064 mod 11,10; of the first ten digits one stands twice or
    thrice, the rest once."""
    counts = sorted((n[:10].count(digit) for digit in set(n[:10])), reverse=True)
    return n[0] != "0" and counts[0] in {2, 3} and counts[1] == 1 and mod11_10(n)


def fr_nir(n: str) -> bool:
    """INSEE: the key is 97 less the rest of the number by 97."""
    return n[0] in "123478" and (1 <= int(n[3:5]) <= 12 or int(n[3:5]) >= 20) and 97 - int(n[:13]) % 97 == int(n[13:])


def nl_bsn(n: str) -> bool:
    """The eleven test: weights 9 to 2, and -1."""
    return weighted(n, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0 and n != "000000000"


def pl_pesel(n: str) -> bool:
    """Weights 1, 3, 7, 9; months carry the century."""
    return weighted(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0 and birthday(n[:2], f"{int(n[2:4]) % 20:02}", n[4:6])


def no_fnr(n: str) -> bool:
    """Skatteetaten: two check digits modulo 11; D-numbers have 4 added to the day."""
    day_ = f"{int(n[0]) % 4}{n[1]}"
    first = weighted(n, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), 11)
    second = weighted(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11)
    return first == second == 0 and birthday(n[4:6], n[2:4], day_)


def se_personnummer(n: str) -> bool:
    """Skatteverket: Luhn over ten digits; co-ordination numbers have 60 added to the day."""
    short = n[-10:]
    day_ = int(short[4:6])
    return luhn(short) and birthday(short[:2], short[2:4], str(day_ - 60 if day_ > 60 else day_))


def dk_cpr(n: str) -> bool:
    """CPR-kontoret: a date and four digits; since 2007 the old check digit may not agree, so it is not asked for."""
    return birthday(n[4:6], n[2:4], n[:2])


def br_cpf(n: str) -> bool:
    """Receita Federal: two check digits modulo 11."""
    first = weighted(n, range(10, 1, -1), 11)
    second = weighted(n, range(11, 1, -1), 11)
    wanted = "".join("0" if rest < 2 else str(11 - rest) for rest in (first, second))
    return len(set(n)) > 1 and wanted == n[9:]


def in_aadhaar(n: str) -> bool:
    """UIDAI: Verhoeff; begins with 2 to 9."""
    return n[0] in "23456789" and verhoeff(n)


def au_tfn(n: str) -> bool:
    """Australian Taxation Office: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, modulo 11."""
    return weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10), 11) == 0 and len(set(n)) > 1


def au_medicare(n: str) -> bool:
    """Services Australia: weights 1, 3, 7, 9 over eight digits; begins with 2 to 6."""
    return n[0] in "23456" and weighted(n, (1, 3, 7, 9, 1, 3, 7, 9), 10) == int(n[8])


def ca_sin(n: str) -> bool:
    """Service Canada: Luhn; no number begins with 0 or 8."""
    return n[0] not in "08" and luhn(n)


def be_rrn(n: str) -> bool:
    """Rijksregister: 97 less the rest of the first nine digits, a 2 before them from 2000 on."""
    month = int(n[2:4]) % 20
    good = 97 - int(n[:9]) % 97 == int(n[9:]) or 97 - int("2" + n[:9]) % 97 == int(n[9:])
    return good and 0 <= month <= 12


def ch_ahv(n: str) -> bool:
    """Zentrale Ausgleichsstelle: 756 and EAN-13."""
    return n.startswith("756") and ean(n)


def at_svnr(n: str) -> bool:
    """Sozialversicherung: the fourth digit checks the others; then day, month, year."""
    rest = weighted(n, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6), 11)
    return n[0] != "0" and rest == int(n[3]) and 1 <= int(n[4:6]) <= 31 and 1 <= int(n[6:8]) <= 13


def pt_nif(n: str) -> bool:
    """Autoridade Tributária: weights 9 to 2, modulo 11; 1 to 3 and 45 are people."""
    rest = weighted(n, range(9, 1, -1), 11)
    return (n[0] in "123" or n[:2] == "45") and (0 if rest < 2 else 11 - rest) == int(n[8])


def ro_cnp(n: str) -> bool:
    """Weights 279146358279, modulo 11, 10 counts as 1."""
    rest = weighted(n, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), 11)
    return n[0] != "0" and (1 if rest == 10 else rest) == int(n[12]) and birthday(n[1:3], n[3:5], n[5:7])


def bg_egn(n: str) -> bool:
    """Weights 2, 4, 8, 5, 10, 9, 7, 3, 6, modulo 11; months carry the century."""
    rest = weighted(n, (2, 4, 8, 5, 10, 9, 7, 3, 6), 11) % 10
    return rest == int(n[9]) and birthday(n[:2], f"{int(n[2:4]) % 20:02}", n[4:6])


def tr_tckn(n: str) -> bool:
    """Nüfus: the tenth digit from odd and even places, the eleventh from the sum."""
    odd, even = (sum(map(int, n[first:9:2])) for first in (0, 1))
    return n[0] != "0" and (7 * odd - even) % 10 == int(n[9]) and sum(map(int, n[:10])) % 10 == int(n[10])


def za_id(n: str) -> bool:
    """Home Affairs: a date, a citizenship digit 0 to 2, Luhn."""
    return birthday(n[:2], n[2:4], n[4:6]) and n[10] in "012" and luhn(n)


def kr_rrn(n: str) -> bool:
    """Weights 2 to 9 and 2 to 5, modulo 11; numbers given since October 2020 have no check digit and are not found."""
    return birthday(n[:2], n[2:4], n[4:6]) and (11 - weighted(n, (*range(2, 10), *range(2, 6)), 11)) % 10 == int(n[12])


def cz_rc(n: str) -> bool:
    """Rodné číslo: divisible by 11; months of women have 50 added (and 20 for either when a day ran out)."""
    month = int(n[2:4]) % 50
    return int(n) % 11 == 0 and birthday(n[:2], f"{month - 20 if month > 20 else month:02}", n[4:6])


def ee_lt_code(n: str) -> bool:
    """Isikukood and asmens kodas: two rounds of weights modulo 11."""
    rest = weighted(n, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1), 11)
    if rest == 10:
        rest = weighted(n, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3), 11) % 10
    return n[0] in "123456" and rest == int(n[10]) and birthday(n[1:3], n[3:5], n[5:7])


def hr_oib(n: str) -> bool:
    """Porezna uprava: ISO 7064 mod 11,10."""
    return mod11_10(n)


def jp_my_number(n: str) -> bool:
    """Ministry of Internal Affairs: weights 6 to 2 and 7 to 2, modulo 11."""
    rest = weighted(n, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11)
    return (0 if rest < 2 else 11 - rest) == int(n[11]) and len(set(n)) > 1


def il_id(n: str) -> bool:
    """Luhn over nine digits."""
    return luhn(n) and len(set(n)) > 1


def se_personnummer_long(n: str) -> bool:
    """As `se_personnummer`, with the century before it."""
    return day(int(n[:4]), int(n[4:6]), int(n[6:8])) and se_personnummer(n)


_TAX = ("tax", "taxpayer", "tin", "id number", "national id", "identification")
