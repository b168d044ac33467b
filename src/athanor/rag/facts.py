"""The parts of a sentence that can be checked word by word: its numbers, its names, and what it denies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.rag.lexical import STOPWORDS, fold
from athanor.rag.stem import stem

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SEPARATOR = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_TOKEN = re.compile(r"[^\W_]+")
_NAME = re.compile(r"[^\W\d_][\w'’.-]*")
_PIECE = re.compile(r"n['’]t\b|[^\W_]+(?:['’][^\W_]+)?|[,;:.!?()]", re.IGNORECASE)
_VALUES = {
    word: str(value)
    for value, word in [
        *enumerate(
            """
            two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
            eighteen nineteen twenty
            """.split(),  # noqa: SIM905
            start=2,
        ),
        *((10 * n, w) for n, w in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), start=3)),  # noqa: SIM905
    ]
}
_NUMBER_WORDS = frozenset(
    """
    hundred hundreds thousand thousands million millions billion billions trillion trillions dozen dozens half third
    quarter twice percent
    """.split()  # noqa: SIM905
)
_NEGATIONS = frozenset("not no never none nor neither without cannot".split())  # noqa: SIM905
_OPPOSITES: dict[str, str] = {
    stem(one): stem(other)
    for pair in """
    more:less most:least first:last before:after above:below over:under high:low higher:lower highest:lowest
    increase:decrease increased:decreased increasing:decreasing rise:fall rose:fell gain:loss won:lost win:lose
    allowed:forbidden allow:forbid permitted:prohibited legal:illegal possible:impossible true:false safe:unsafe
    always:never all:none begin:end begins:ends began:ended start:stop open:closed early:late earlier:later
    large:small larger:smaller largest:smallest big:little long:short longer:shorter old:new older:newer older:younger
    north:south northern:southern east:west eastern:western left:right upper:lower inside:outside public:private
    major:minor male:female required:optional include:exclude included:excluded accept:reject accepted:rejected
    enable:disable enabled:disabled buy:sell import:export positive:negative maximum:minimum strong:weak common:rare
    better:worse best:worst success:failure succeeded:failed present:absent
    """.split()  # noqa: SIM905
    for one, other in (pair.split(":"), pair.split(":")[::-1])
}
_REACH = 4
"""Words that a denial can stand before the word it denies."""


def numbers(text: str) -> frozenset[str]:
    """The numbers in `text`: digits without thousands separators, number words to twenty and tens as digits."""
    digits = {_SEPARATOR.sub("", match[0]) for match in _NUMBER.finditer(text)}
    spelt = {match[0].lower() for match in _TOKEN.finditer(text)}
    return frozenset(digits | {_VALUES[word] for word in spelt if word in _VALUES} | (spelt & _NUMBER_WORDS))


def plain_numbers(text: str) -> str:
    """`text` with its numbers as `numbers` has them: `1,388` as `1388`, `eight` as `8`."""
    return _TOKEN.sub(lambda match: _VALUES.get(match[0].lower(), match[0]), _SEPARATOR.sub("", text))


def names(text: str) -> frozenset[str]:
    """Stems of the words that are written with a capital although they do not begin the text: names, mostly."""
    found = [match[0].rstrip(".'’-") for match in _NAME.finditer(text)]
    return frozenset(stem(fold(word)) for word in found[1:] if word[0].isupper() and word.lower() not in STOPWORDS)


def opposed(written: frozenset[str], source: frozenset[str]) -> bool:
    """Has `written` (stems) a word that `source` has not, instead of its opposite."""
    return any(_OPPOSITES.get(word) in source - written for word in written - source)


def denials(text: str) -> int:
    """How often `text` denies something."""
    return sum(1 for _ in _denied(text))


def denied(text: str) -> frozenset[str]:
    """Stems of the content words that a denial in `text` is about: the first two after it in its clause."""
    return frozenset(word for words in _denied(text) for word in words)


def _denied(text: str) -> Iterator[list[str]]:
    pieces = [match[0].lower().replace("’", "'") for match in _PIECE.finditer(text)]
    for place, piece in enumerate(pieces):
        if piece in _NEGATIONS or piece.endswith("n't"):
            about: list[str] = []
            for word in pieces[place + 1 : place + 1 + _REACH]:
                if word in ",;:.!?()":
                    break
                if word not in STOPWORDS and word not in _NEGATIONS:
                    about.append(stem(fold(word)))
            yield about[:2]
