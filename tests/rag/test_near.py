"""Documents that are nearly the same are found by their signatures, and shown to those who may read both."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from athanor.rag.near import signature
from athanor.store.near import ALIKE

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "nrstl"]


def prose(seed: int, words: int = 200) -> str:
    chance = random.Random(seed)
    return ". ".join(" ".join(chance.choices(WORDS, k=10)).capitalize() for _ in range(words // 10)) + "."


def alike(one: str, other: str) -> float:
    first, second = signature(one), signature(other)
    assert first is not None
    assert second is not None
    return float((np.frombuffer(first, "<u4") == np.frombuffer(second, "<u4")).mean())


def test_the_share_of_equal_values_is_the_jaccard_similarity() -> None:
    for seed in range(5):
        text = prose(seed, 400).split()
        one, other = " ".join(text[:300]), " ".join(text[100:])
        assert alike(one, other) == pytest.approx(0.5, abs=0.15)


def test_small_edits_leave_a_text_nearly_the_same() -> None:
    for seed in range(20):
        text = prose(seed)
        words = text.split()
        words[50] = words[120] = "altered"
        assert alike(text, re.sub(r"\s+", "\n", text.upper())) == 1
        assert alike(text, " ".join(words)) >= ALIKE
        assert alike(text, f"Second edition, revised by the editors.\n\n{text}") >= ALIKE


def test_other_texts_are_not_alike() -> None:
    for seed in range(20):
        assert alike(prose(seed), prose(seed + 100)) < 0.2
        half = " ".join(prose(seed).split()[:100])
        assert alike(half, prose(seed)) < ALIKE


def test_scripts_without_spaces_have_words_too() -> None:
    text = "東京都の契約は来年の三月に終わり、新しい契約は四月に始まる。価格は三パーセント上がる。" * 2
    assert alike(text, text.replace("四月", "五月")) >= ALIKE
    assert alike(text, "灯台の番人は夕暮れに灯をともし、船は家路についた。港には多くの人がいた。") < 0.2


def test_a_text_without_words_has_no_signature_and_a_short_one_has() -> None:
    assert signature("") is None
    assert signature(" — … \n") is None
    assert alike("Yes.", "yes") == 1
    assert alike("Yes.", "No.") < ALIKE


def test_a_long_text_is_signed_in_parts_to_the_same_effect() -> None:
    text = prose(3, 12_000)
    assert alike(text, text + " " + prose(4, 60)) >= 0.95
