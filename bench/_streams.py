"""Made-up answers for `streams.py`, the same at every run."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

_FIRST = ("Ada", "Otto", "María", "J. R. R.", "Anne-Marie", "Chloé", "Dr. Paul", "Søren")
_LAST = ("Lovelace", "Müller", "García Márquez", "O'Brien", "van der Berg", "Nguyễn", "St. John", "Okafor")
_PLAIN = (
    "The order will arrive on Tuesday.", "Please restart the router and wait.", "It costs 12.50 in all, e.g. for two.",
    "Is that all right?", "Nothing else is needed!", "See section 4.2 of the manual.", "Ich melde mich morgen wieder.",
    "Versions 1.2.3 and 2.0 differ.", "That took 3 hours and 20 minutes.",
)  # fmt: skip


def _luhn(dice: random.Random) -> str:
    digits = [4, *(dice.randrange(10) for _ in range(14))]
    odd = sum(digits[1::2])
    even = sum(sum(divmod(2 * d, 10)) for d in digits[0::2])
    digits.append(-(odd + even) % 10)
    raw = "".join(map(str, digits))
    gap = dice.choice(["", " ", "-"])
    return gap.join(raw[i : i + 4] for i in range(0, 16, 4))


def _iban(dice: random.Random) -> str:
    account = "".join(str(dice.randrange(10)) for _ in range(18))
    check = 98 - int(account + "131400") % 97
    raw = f"DE{check:02d}{account}"
    return " ".join(raw[i : i + 4] for i in range(0, 22, 4)) if dice.random() < 0.6 else raw


def _letters(dice: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(dice.choice(alphabet) for _ in range(count))


def _mail(dice: random.Random) -> str:
    name = dice.choice(["ada", "o.muller", "first.last+tag", "x_y-z"])
    return f"{name}{dice.randrange(100)}@{dice.choice(['example.org', 'mail.example.co.uk', 'post.example.de'])}"


def _phone(dice: random.Random) -> str:
    return dice.choice([
        f"+44 20 7946 0{dice.randrange(100, 999)}", f"(212) 555-0{dice.randrange(100, 199)}",
        f"+49 30 9018{dice.randrange(1000, 9999)}", f"+1-202-555-0{dice.randrange(100, 199)}",
    ])  # fmt: skip


_MADE: tuple[Callable[[random.Random], str], ...] = (
    lambda d: f"Write to {_mail(d)}.",
    lambda d: f"Her mail: {_mail(d)}, his: <{_mail(d)}>",
    lambda d: f"Call {_phone(d)} or {_phone(d)} today.",
    lambda d: f"Pay with card {_luhn(d)}, please.",
    lambda d: f"The IBAN is {_iban(d)}.",
    lambda d: f"{d.choice(_FIRST)} {d.choice(_LAST)} lives at {d.randrange(1, 200)} Baker Street, London.",
    lambda d: f"The server is 203.0.113.{d.randrange(1, 254)} or 2001:db8::{d.randrange(1, 9999):x}.",
    lambda d: f"export OPENAI_API_KEY=sk-proj-{_letters(d, 48)}",
    lambda d: f"The key AKIA{_letters(d, 16, string.ascii_uppercase + '234567')} is used.",
    lambda d: f"password = {_letters(d, 14)}",
    lambda d: f"Token ghp_{_letters(d, 36)} works.",
    lambda d: f"![chart](https://evil{d.randrange(99)}.example.net/p.png?q={_letters(d, 20)} \"a title\")",
    lambda d: f"[click here](javascript:alert({d.randrange(99)}))",
    lambda d: f"<img src=\"https://e{d.randrange(99)}.example.net/x.png\" onerror=\"a()\"> follows",
    lambda d: f"```\n{_mail(d)}\n{_letters(d, 30)}\n```",
    lambda d: f"| name | mail |\n|---|---|\n| {d.choice(_FIRST)} | {_mail(d)} |",
    lambda d: f"- {d.choice(_FIRST)} {d.choice(_LAST)}\n- born 19{d.randrange(10, 99)}-05-1{d.randrange(9)}",
    lambda d: f"-----BEGIN PRIVATE KEY-----\n{_letters(d, 64)}\n{_letters(d, 64)}\n-----END PRIVATE KEY-----",
    lambda d: d.choice(_PLAIN),
    lambda d: d.choice(_PLAIN),
)  # fmt: skip


def texts_of(count: int) -> list[str]:
    """So many answers of 40 to 160 characters, and some of up to 900, and what their last sentence takes."""
    dice = random.Random(5)
    found = []
    for _ in range(count):
        text = ""
        longest = dice.randint(40, 160) if dice.random() < 0.92 else dice.randint(400, 900)
        while len(text) < longest:
            text += dice.choice(_MADE)(dice) + dice.choice([" ", " ", "\n", "\n\n"])
        found.append(text)
    return found
