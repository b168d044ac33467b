"""Sentences of our own for training: attacks by grammar, and harmless sentences that look like them.

Public collections are small and of few families. A grammar adds breadth: what an attack says is drawn from slots, so
that a model learns the form and not one wording. Sentences that are nearly a row that is measured on are taken out
in training; see `train.apart`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from importlib import resources

from athanor.errors import ConfigError

Slots = Mapping[str, tuple[str, ...]]
_SLOT = re.compile(r"\{(\w+)\}")


def grammar(name: str) -> dict[str, tuple[str, ...]]:
    """The slots of the packaged file `weights/<name>.txt`: a line `[slot]`, then its fillers, one a line; `\\n` in a
    filler is a new line."""
    slots: dict[str, tuple[str, ...]] = {}
    current = ""
    for line in (resources.files(__package__) / "weights" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier() and line.islower():
            current = line[1:-1]
            if current in slots:
                raise ConfigError(f"The section [{current}] is there twice.", where=f"weights/{name}.txt")
            slots[current] = ()
        elif line.strip() and not line.startswith("# "):
            slots[current] += (line.replace("\\n", "\n"),)
    return slots


def made(slots: Slots, slot: str, count: int, dice: random.Random) -> list[str]:
    """At most `count` different sentences of `slot`, every line of it used as often as every other."""
    lines = slots[slot]
    found: dict[str, None] = {}
    for turn in range(count * 3):
        if len(found) == count:
            break
        text = _filled(lines[turn % len(lines)], slots, dice)
        if dice.random() < 0.15:
            text = text.lower() if dice.random() < 0.7 else text.upper()
        found[text] = None
    return list(found)


def _filled(text: str, slots: Slots, dice: random.Random) -> str:
    while match := _SLOT.search(text):
        filler = dice.choice(slots[match[1]]) if match[1] in slots else match[1]
        text = text[: match.start()] + filler + text[match.end() :]
    return text[:1].upper() + text[1:]
