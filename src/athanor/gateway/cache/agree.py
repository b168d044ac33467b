"""Do two questions ask the same, and do two answers say the same? By rules that err towards no.

A sentence's embedding is near that of its negation, and of itself with another number or name. So before a similarity
counts, what can be compared word by word must be equal. A wrong no costs a hit; a wrong yes costs a wrong answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import orjson

from athanor.rag.facts import names, numbers
from athanor.rag.lexical import STOPWORDS, content_stems, fold, stems
from athanor.rag.stem import stem

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CAPITAL = re.compile(r"[^\W\d_][\w'’.-]*")
_QUOTED = re.compile(r"\"([^\"]{1,200})\"|“([^”]{1,200})”|«([^»]{1,200})»|`([^`]{1,200})`|(?<!\w)'([^']{1,200})'(?!\w)")
_CHUNK = re.compile(r"[^\s\"'“”«»`,;!?()]+")
_CODE = re.compile(r"[A-Za-z]\d|\d[A-Za-z]|[@/\\_#=<>{}|^*+]|\w\.\w")
_FIGURE = re.compile(r"(?:[-−+$€£¥]\s?){0,2}\d+(?:[.,]\d+)*(?:\s?[%‰°$€£¥])?")
_THOUSANDS = re.compile(r",(?=\d{3}(?:\D|$))")
_SPACE = re.compile(r"\s+")
_DENIALS = frozenset(
    """
    not no never none nor neither nobody nothing nowhere without cannot except excluding unless hardly barely cant dont
    doesnt didnt wont isnt arent wasnt werent shouldnt couldnt wouldnt havent hasnt hadnt
    """.split()  # noqa: SIM905
)
_YES = re.compile(
    r"\W*(?:yes|yeah|yep|correct|true|certainly|absolutely|indeed|right|sure|ja|oui|sí|si)\b", re.IGNORECASE
)
_NO = re.compile(r"\W*(?:no|nope|incorrect|false|wrong|nein|non)\b", re.IGNORECASE)
_CALENDAR = frozenset(
    """
    january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight
    morning afternoon evening night noon midnight spring summer autumn winter daily weekly monthly yearly annual day
    days week weeks month months year years hour hours minute minutes second seconds decade century weekend first third
    fourth fifth sixth seventh eighth ninth tenth last next previous current latest newest oldest one once twice single
    double both
    """.split()  # noqa: SIM905
)
_POLES = frozenset(
    """
    more less most least fewer few max maximum min minimum highest lowest high low higher lower larger smaller largest
    smallest big small bigger biggest longest shortest long short longer shorter fastest slowest fast slow best worst
    better worse good bad before after since until above below over under up down out off from increase decrease
    increased decreased increasing decreasing raise reduce open close opened closed enable disable enabled disabled
    start stop started stopped begin end add remove added removed buy sell bought sold send receive sent received import
    export deposit withdraw withdrawal withdrawals incoming outgoing left right north south east west cause effect
    advantage advantages disadvantage disadvantages pro con pros cons strength strengths weakness weaknesses benefit
    benefits risk risks similar similarities different difference differences male female man woman men women boy girl
    husband wife mother father son daughter him her his he she accept decline accepted declined approve reject approved
    rejected allow deny lock unlock activate deactivate cancel renew win lose won lost true false positive negative
    active passive always sometimes only old new cheap expensive safe dangerous legal illegal possible impossible early
    late inside outside internal external public private
    """.split()  # noqa: SIM905
)
_ASKING = {
    "what": "which", "which": "which", "who": "who", "whom": "who", "whose": "whose", "when": "when", "where": "where",
    "why": "why", "how": "how",
}  # fmt: skip
_MEASURES = frozenset("many much long old far often big tall high deep large fast soon late".split())  # noqa: SIM905
_AUXILIARIES = frozenset(
    """
    is are am was were do does did can could will would shall should may might must has have had isn't aren't don't
    doesn't didn't can't won't wasn't weren't
    """.split()  # noqa: SIM905
)
_OPENINGS = frozenset("please kindly hi hello hey ok okay so and but well um uh er thanks dear now".split())  # noqa: SIM905
_PLEAS = re.compile(r"(?:can|could|would|will) you (?:please |kindly )?(?!tell |say )")
_SWAPPED = 2
_SHARED = 0.8
"""Of the content words of two answers: with fewer in common they are about different things, or it is unsure."""
_CAUSES = re.compile(r"\bhow come\b|\bwhat for\b|\bfor what reason\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signature:
    """What must be equal in two questions that ask the same."""

    kind: str
    """What it asks for (`who`, `how many`, `yes or no`), what it orders (`translate`), or that it tells something."""
    numbers: tuple[str, ...]
    """In order, with signs and units; then the number words."""
    names: tuple[str, ...]
    """In order: "does A own B" is not "does B own A"."""
    quoted: frozenset[str]
    """In quotation marks, or written like code, addresses and paths."""
    denials: int
    """How often it says not, no, never or without."""
    calendar: frozenset[str]
    poles: frozenset[str]
    """Words that turn into their opposite: more and less, before and after."""
    words: tuple[str, ...] = field(compare=False)
    """Stems of its content words in order, for `swapped`."""


def signature(question: str) -> Signature:
    """Everything about `question` that is compared word by word."""
    found = [word.lower().replace("’", "'") for word in _WORD.findall(question)]
    there = frozenset(found)
    quoted = {fold(next(filter(None, match.groups()), "")) for match in _QUOTED.finditer(question)}
    quoted |= {chunk.strip(".:").lower() for chunk in _CHUNK.findall(question) if _CODE.search(chunk)}
    return Signature(
        kind=_kind(question, found),
        numbers=_numbers_in_order(question),
        names=_names_in_order(question),
        quoted=frozenset(quoted - {""}),
        denials=sum(word in _DENIALS or word.endswith("n't") for word in found),
        calendar=there & _CALENDAR,
        poles=there & _POLES,
        words=tuple(content_stems(question)),
    )


def agree(one: Signature, two: Signature) -> bool:
    """May they ask the same, as far as their words say?"""
    return one == two and not swapped(one, two)


def swapped(one: Signature, two: Signature) -> bool:
    """Do they differ in one place only, where one has a word or two in the stead of the other's?

    "weather in rome" and "weather in oslo": a name in small letters is seen by nothing else. A synonym is lost with it.
    """
    a, b = one.words, two.words
    shorter = min(len(a), len(b))
    start = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    end = next((i for i in range(shorter - start) if a[-1 - i] != b[-1 - i]), shorter - start)
    mine, yours = a[start : len(a) - end], b[start : len(b) - end]
    return 0 < len(mine) <= _SWAPPED and 0 < len(yours) <= _SWAPPED and not {*mine} & {*yours}


def _kind(question: str, found: list[str]) -> str:
    if _CAUSES.search(question):
        return "why"
    while len(found) > 1 and found[0] in _OPENINGS:
        found = found[1:]
    plea = _PLEAS.match(" ".join(found))
    if plea is not None:
        found = found[plea[0].count(" ") :]
    if not found:
        return ""
    first = found[0]
    plain = first in STOPWORDS or first in _AUXILIARIES or _base(first) in _ASKING
    order = "" if plain else stem(fold(first))
    for place, word in enumerate(found):
        base = _base(word)
        if base in _ASKING:
            following = found[place + 1] if place + 1 < len(found) else ""
            asked = f"how {following}" if base == "how" and following in _MEASURES else _ASKING[base]
            return f"{order} {asked}".strip()
    return order or ("yes or no" if first in _AUXILIARIES else "telling")


def _base(word: str) -> str:
    return word.removesuffix("'s").removesuffix("'re").removesuffix("'d")


def _numbers_in_order(text: str) -> tuple[str, ...]:
    figures = [_SPACE.sub("", _THOUSANDS.sub("", match[0])) for match in _FIGURE.finditer(text)]
    return (*figures, *sorted(word for word in numbers(text) if word.isalpha()))


def _names_in_order(text: str) -> tuple[str, ...]:
    """Stems of the words with a capital that do not begin the text, one after the other."""
    words = [match[0].rstrip(".'’-") for match in _CAPITAL.finditer(text)][1:]
    return tuple(stem(fold(word)) for word in words if word[:1].isupper() and word.lower() not in STOPWORDS)


def same_text(one: str, two: str) -> bool:
    """Are two answers equal but for space and a full stop at the end?"""
    return one.strip().removesuffix(".") == two.strip().removesuffix(".")


def may_agree(one: str, two: str, *, longest: int) -> bool:
    """Is there nothing in two answers that contradicts? Their meaning is still to be compared.

    Args:
        longest: characters that the embedder reads. Of a longer answer it does not know the end: that counts as
            different.
    """
    if max(len(one), len(two)) > longest:
        return False
    json = _json(one), _json(two)
    if json != (None, None):
        return json[0] == json[1]
    a, b = signature(one), signature(two)
    if (_said(a), _polarity(one)) != (_said(b), _polarity(two)):
        return False
    if names(one) - stems(two) or names(two) - stems(one):
        return False
    return _alike(a, b) and not swapped(a, b)


def _said(answer: Signature) -> tuple[object, ...]:
    """What an answer states, word by word; what kind of sentence it is does not matter."""
    return answer.numbers, answer.quoted, answer.denials, answer.calendar, answer.poles


def _alike(one: Signature, two: Signature) -> bool:
    """Nearly the same content words in the same order: "air outweighs steam" is not "steam outweighs air"."""
    mine, yours = frozenset(one.words), frozenset(two.words)
    if len(mine & yours) < _SHARED * len(mine | yours):
        return False
    return [word for word in one.words if word in yours] == [word for word in two.words if word in mine]


def _polarity(text: str) -> str:
    return "yes" if _YES.match(text) else "no" if _NO.match(text) else ""


def _json(text: str) -> bytes | None:
    """Canonical JSON of an answer that is an object or a list."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return None
