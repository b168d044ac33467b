"""Statements about BoolQ passages that are known to be supported, or known not to be, for `grounding.py`.

Supported is what a passage says verbatim, shortened, or reworded without a change of meaning, and what its yes/no
question asks, stated as its answer has it. Not supported are the same with one thing changed, the statements of other
passages, and the question stated against its answer. Every change is applied to every form alike, so that no form
betrays the label.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from athanor.rag.lexical import content_stems
from athanor.rag.sentences import split


@dataclass(frozen=True, kw_only=True)
class Passage:
    title: str
    text: str
    questions: tuple[tuple[str, bool], ...]

    def sentences(self) -> list[str]:
        """Whole prose sentences of 6 to 45 words."""
        found = [self.text[span.start : span.end] for span in split(self.text)]
        return [s for s in found if 6 <= len(s.split()) <= 45 and s[0].isupper() and s[-1] == "."]


@dataclass(frozen=True, kw_only=True)
class Statement:
    passage: int
    text: str
    supported: bool
    kind: str
    """Of a supported one its form, of another what was done to it."""
    form: str


def passages(data: Path) -> list[Passage]:
    """BoolQ's distinct passages, each with its questions. A title's passages stay together."""
    found: dict[str, tuple[str, list[tuple[str, bool]]]] = {}
    for line in (data / "qa/boolq_dev.jsonl").read_text().splitlines():
        row = json.loads(line)
        text = row["passage"].replace("``", '"').replace("''", '"').replace("--", "–")
        found.setdefault(text, (row["title"], []))[1].append((row["question"], row["answer"] == "True"))
    return [Passage(title=title, text=text, questions=tuple(asked)) for text, (title, asked) in found.items()]


_SYNONYMS = dict(
    pair.split(":")
    for pair in (  # noqa: SIM905
        "began:started film:movie located:situated approximately:about constructed:built purchase:buy obtain:get "
        "several:various often:frequently usually:normally released:issued however:though automobile:car begins:starts "
        "portion:part assist:help commonly:generally requires:needs require:need throughout:across entire:whole "
        "created:made currently:now primarily:mainly prior:earlier additional:further commence:begin ended:finished "
        "large:big quickly:fast contains:holds contain:hold includes:comprises shows:displays announced:declared "
        "permitted:allowed attempt:try received:got provides:gives consists:is killed:slain physician:doctor "
        "rarely:seldom residence:home children:kids nearly:almost also:too while:whereas although:though "
        "because:since many:numerous various:different typically:usually known:recognised used:employed "
        "different:distinct important:significant main:chief near:by like:such-as"
    ).split()
)
_POLES = {
    word: other
    for pair in (  # noqa: SIM905
        "most:least first:last before:after largest:smallest more:less high:low highest:lowest increase:decrease "
        "increased:decreased north:south northern:southern east:west eastern:western over:under best:worst "
        "always:never all:few same:opposite public:private male:female legal:illegal won:lost early:late large:small "
        "long:short above:below major:minor older:younger begins:ends began:ended allows:forbids allowed:forbidden "
        "higher:lower upper:lower left:right open:closed may:must national:local common:rare similar:unlike"
    ).split()
    for word, other in (pair.split(":"), pair.split(":")[::-1])
}
_AUXILIARY = r"\b(is|are|was|were|can|could|will|would|has|have|had|may|must|should|does|did|do)\b"


def verbatim(sentence: str, draw: random.Random) -> str:
    return sentence


def shortened(sentence: str, draw: random.Random) -> str | None:
    """Without what stands in brackets, before the main clause, or in a relative clause at the end."""
    made = re.sub(r"\s*\([^()]*\)", "", sentence)
    made = re.sub(r", (?:which|who|where|including|such as|although|though)\b[^,;:]*\.$", ".", made)
    if found := re.match(r"(?:In|On|During|After|Since|By|As of|At)\b[^,]{3,40}, (?=[A-Z]|the |a )", made):
        rest = made[found.end() :]
        made = rest[0].upper() + rest[1:]
    return made if made != sentence and len(made.split()) >= 6 else None


def reworded(sentence: str, draw: random.Random) -> str | None:
    """With other words for two or more, or with its first phrase at the end."""
    changes = 0

    def word(match: re.Match[str]) -> str:
        nonlocal changes
        other = _SYNONYMS.get(match[0].lower())
        if other is None:
            return match[0]
        changes += 1
        other = other.replace("-", " ")
        return other.capitalize() if match[0][0].isupper() else other

    made = re.sub(r"\b\w+\b", word, sentence)
    if found := re.match(r"((?:In|On|During|Since|By|As of|At)\b[^,]{3,40}), (?=[A-Z]|the |a )", made):
        rest = made[found.end() :]
        made = f"{rest[0].upper()}{rest[1:-1]} {found[1][0].lower()}{found[1][1:]}."
        changes += 2
    return made if changes >= 2 else None


FORMS: dict[str, Callable[[str, random.Random], str | None]] = {
    "verbatim": verbatim, "shortened": shortened, "reworded": reworded, "fused": verbatim,
}  # fmt: skip


_NO_NAMES = frozenset(
    """
    January February March April May June July August September October November December Monday Sunday You However
    The This These They There His Her
    """.split()  # noqa: SIM905
)


def _names(text: str) -> list[str]:
    found = re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*", text)
    return [name for name in dict.fromkeys(found) if name not in _NO_NAMES]


def _numbers(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])", text)))


def _number(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    there = _numbers(text)
    if not there:
        return None
    old = draw.choice(there)
    value = re.sub(r"[^\d.]", "", old)
    if "." in value:
        new = f"{float(value) + draw.choice([0.4, 1.3, 5]):.1f}"
    else:
        new = str(int(value) + draw.choice([-3, -1, 1, 2, 7, 10]))
    near = [n for n in _numbers(passage.text) if n not in there]
    if near and draw.random() < 0.5:
        new = draw.choice(near)
    return _once(text, old, new) if new.lstrip("-") != value else None


def _name(text: str, passage: Passage, other: Passage, draw: random.Random, *, near: bool) -> str | None:
    there = _names(text)
    choice = [n for n in _names(passage.text if near else other.text) if n not in text and text.find(n) < 0]
    if not there or not choice:
        return None
    return _once(text, draw.choice(there), draw.choice(choice))


def _near_name(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    return _name(text, passage, other, draw, near=True)


def _far_name(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    return _name(text, passage, other, draw, near=False)


def _swapped(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    there = [n for n in _names(text) if text.count(n) == 1]
    if len(there) < 2:
        return None
    one, two = draw.sample(there, 2)
    if re.search(rf"{one}(?:,| and| or| &)+ {two}|{two}(?:,| and| or| &)+ {one}", text) or one in two or two in one:
        return None  # of a list the order says nothing
    return text.replace(one, "\0").replace(two, one).replace("\0", two)


def _negation(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    if re.search(r"\bnot\b", text):
        return re.sub(r" not\b", "", text, count=1)
    if re.search(r"\b(?:no|never|without|neither|nor)\b|n't", text):
        return None
    made = re.sub(_AUXILIARY, r"\1 not", text, count=1)
    return made if made != text else None


def _opposite(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    there = [m for m in re.finditer(r"\b[a-z]+\b", text) if m[0] in _POLES]
    if not there:
        return None
    found = draw.choice(there)
    return text[: found.start()] + _POLES[found[0]] + text[found.end() :]


def _crossed(text: str, passage: Passage, other: Passage, draw: random.Random) -> str | None:
    """What the passage says of one thing, said of another that it names."""
    parts = []
    for sentence in passage.sentences():
        found = re.search(r"\b(?:is|are|was|were|has|had|can|may|will)\b", sentence)
        if found and 4 < found.start() < 50 and re.match(r"[A-Z]", sentence) and not _pronoun(sentence):
            parts.append((sentence[: found.start()], sentence[found.start() :]))
    if len(parts) < 2:
        return None
    one, two = draw.sample(parts, 2)
    if set(content_stems(one[0])) & set(content_stems(two[0])) or one[0].lower() in two[1].lower():
        return None
    return one[0] + two[1]


def _pronoun(sentence: str) -> bool:
    return re.match(r"(?:It|He|She|They|This|These|There|That|We|I|Some|Most|Many)\b", sentence) is not None


CHANGES: dict[str, Callable[[str, Passage, Passage, random.Random], str | None]] = {
    "number": _number, "name from elsewhere": _far_name, "name of the passage": _near_name, "names swapped": _swapped,
    "negation": _negation, "opposite": _opposite, "crossed": _crossed,
}  # fmt: skip


def _once(text: str, old: str, new: str) -> str | None:
    made = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text, count=1)
    return made if made != text else None


def answer(question: str, title: str) -> tuple[str, str] | None:
    """A yes/no question as a statement and its denial, where the title shows what the subject is."""
    auxiliary, _, rest = question.strip().rstrip("?").partition(" ")
    if not re.fullmatch(_AUXILIARY, auxiliary):
        return None
    known = {w.lower() for w in re.findall(r"\w+", title)} | {"the", "a", "an"}
    known |= {f"{w}s" for w in known} | {w.removesuffix("s") for w in known}
    words = rest.split()
    end = 0
    while end < len(words) and words[end] in known:
        end += 1
    subject = words[:end]
    if not subject or set(subject) <= {"the", "a", "an"} or end > len(words) - 2 or re.match(r"of|in|and", words[end]):
        return None
    head, tail = " ".join(subject), " ".join(words[end:])
    head = head[0].upper() + head[1:]
    return f"{head} {auxiliary} {tail}.", f"{head} {auxiliary} not {tail}."


def statements(
    chosen: Sequence[int], every: Sequence[Passage], near: Sequence[int], draw: random.Random
) -> list[Statement]:
    """A supported statement of each form, four unsupported ones, and the answers, of each chosen passage.

    Args:
        near: for each passage one of a like topic that is not among its sources.
    """
    found: list[Statement] = []
    for at in chosen:
        passage = every[at]
        if len(passage.sentences()) < 2:
            continue
        formed = {form: _formed(passage, form, draw) for form in FORMS}
        found += [
            Statement(passage=at, text=text, supported=True, kind=form, form=form)
            for form, text in formed.items()
            if text is not None
        ]
        found += _unsupported(at, passage, (every[near[at]], every[draw.choice(chosen)]), draw)
        for question, yes in passage.questions:
            if (pair := answer(question, passage.title)) is not None:
                for text, says in zip(pair, (True, False), strict=True):
                    found.append(Statement(passage=at, text=text, supported=says is yes, kind="answer", form="answer"))
    return found


def _formed(passage: Passage, form: str, draw: random.Random) -> str | None:
    """A statement of this form, of a sentence of the passage that allows it."""
    sentences = passage.sentences()
    draw.shuffle(sentences)
    if form == "fused":
        return _fused(sentences)
    return next((text for s in sentences if (text := FORMS[form](s, draw)) is not None), None)


def _fused(sentences: Sequence[str]) -> str | None:
    """Two sentences of the passage as one."""
    for second in sentences:
        first = next((s for s in sentences if s != second), None)
        if first is not None and re.match(r"(?:The|In|It|A|This|As|They|There|At|On)\b", second):
            return f"{first[:-1]}, and {second[0].lower()}{second[1:]}"
    return None


def _unsupported(at: int, passage: Passage, others: tuple[Passage, Passage], draw: random.Random) -> list[Statement]:
    found: list[Statement] = []
    sources = {"like passage": others[0], "any passage": others[1]}
    kinds = [*CHANGES, *sources]
    draw.shuffle(kinds)
    if others[1].title == passage.title:
        kinds.remove("any passage")
    for kind in kinds:
        forms = list(FORMS)
        draw.shuffle(forms)
        for form in forms:
            text = _formed(sources.get(kind, passage), form, draw)
            if text is not None and kind in CHANGES:
                text = CHANGES[kind](text, passage, others[1], draw)
            if text is not None:
                found.append(Statement(passage=at, text=text, supported=False, kind=kind, form=form))
                break
        if len(found) == 4:
            break
    return found
