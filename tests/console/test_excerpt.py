from __future__ import annotations

import random
import time

import pytest

from athanor.console.excerpt import Setting, excerpt

PROSE = (
    "# Pumps\n\nThe warranty of the Meridian pump ends 36 months after its delivery to the\n"
    "customer, and seals and filters are excluded from it.\n\n- one\n- two\n\n```toml\nhome = 'x'\n```\n\nEnd.\n"
)


@pytest.mark.parametrize("seed", range(50))
def test_the_pieces_joined_are_the_text_and_the_marked_ones_the_quotation(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(
        rng.choice(["word ", "a longer run of words here ", "\n", "\n\n", "# ", "```\n", "é", "🙂"]) for _ in range(400)
    )
    start = rng.randrange(len(text) - 1)
    end = rng.randrange(start + 1, len(text) + 1)
    pages = sorted({0, *rng.sample(range(len(text)), 4)})
    cut = excerpt(
        text, pages, mark=(start, end), before=rng.randrange(300), after=rng.randrange(300), markdown=seed % 2 == 0
    )
    assert "".join(piece.text for piece in cut.pieces) == text[cut.start : cut.end]
    assert "".join(piece.text for piece in cut.pieces if piece.marked) == text[start:end]
    shown = [piece.page for piece in cut.pieces if piece.page is not None]
    assert shown == [number for number, offset in enumerate(pages, start=1) if cut.start <= offset < cut.end]


def test_prose_is_reflowed_and_structure_is_not() -> None:
    cut = excerpt(PROSE, (), mark=None, before=0, after=10_000, markdown=True)
    settings = {piece.text: piece.setting for piece in cut.pieces}
    assert settings["# Pumps"] is Setting.HEAD
    assert settings["```toml\nhome = 'x'\n```"] is Setting.CODE
    assert [s for text, s in settings.items() if text.startswith("The warranty")] == [Setting.FLOW]
    assert [s for text, s in settings.items() if "- one\n- two" in text] == [Setting.PLAIN]


def test_without_a_mark_the_window_is_the_beginning() -> None:
    cut = excerpt("x" * 100_000, (), mark=None, before=50, after=1000)
    assert (cut.start, cut.before) == (0, 0)
    assert cut.end == 1000
    assert cut.after == 99_000


@pytest.mark.parametrize("mark", [(5, 5), (-1, 3), (3, 999), (9, 2)])
def test_a_mark_outside_of_the_text_is_ignored(mark: tuple[int, int]) -> None:
    cut = excerpt("short text", (), mark=mark, before=5, after=5)
    assert not any(piece.marked for piece in cut.pieces)


@pytest.mark.parametrize("text", [" " * 60_000, "\n" * 60_000, "```\n" * 20_000, "# " * 30_000, "-" * 60_000])
def test_odd_texts_take_no_time(text: str) -> None:
    started = time.perf_counter()
    excerpt(text, (), mark=(10, 20), before=60_000, after=60_000, markdown=True)
    assert time.perf_counter() - started < 1.0
