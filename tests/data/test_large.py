"""Large files, as users have them: memory does not grow with them, and how far they are read is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import xlsxwriter

from athanor.data import ParserPool
from tests.data.makers import Placed, make_pdf, prose

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def page(number: int) -> list[Placed]:
    lines = [
        f"Line {i} of page {number} speaks of subject {(number * 37 + i) % 991} at some length." for i in range(40)
    ]
    return [("Handbook", 72, 810, 9), *prose(lines), (f"{number + 1}", 290, 30, 9)]


async def told(pool: ParserPool, path: Path) -> tuple[str, list[float], tuple[int, ...]]:
    heard: list[float] = []
    started = time.perf_counter()
    document = await pool.parse(path, path.name, progress=heard.append)
    seconds, peak = time.perf_counter() - started, pool.statistics.peak_bytes >> 20
    print(f"{path.name}: {path.stat().st_size >> 10:,} KiB, {seconds:.1f} s, peak {peak} MiB, {len(heard)} reports")
    assert heard == sorted(heard)
    assert 0 <= heard[0] < heard[-1] <= 1
    return document.text, heard, document.pages


@pytest.mark.timeout(600)
async def test_a_thousand_pages_in_the_memory_of_a_hundred(tmp_path: Path) -> None:
    few = make_pdf(tmp_path / "few.pdf", [page(number) for number in range(100)])
    many = make_pdf(tmp_path / "many.pdf", [page(number) for number in range(1000)])
    async with ParserPool() as pool:
        await pool.parse(few, "few.pdf")
        least = pool.statistics.peak_bytes
        text, _, pages = await told(pool, many)
        assert len(pages) == 1000
        assert "Handbook" not in text
        assert "Line 0 of page 999 " in text[pages[999] :]
        # What is made of the text (3 MB) has to be kept; the pages have not.
        assert pool.statistics.peak_bytes < least + (64 << 20)


@pytest.mark.timeout(600)
async def test_two_hundred_sheets(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "book.xlsx", {"constant_memory": True})
    for number in range(200):
        sheet = book.add_worksheet(f"Sheet{number}")
        sheet.write_row(0, 0, ["Region", "Product", "Units", "Price"])
        for row in range(1, 400):
            sheet.write_row(row, 0, [f"Region {row % 7}", f"Product {number}-{row}", row * number, row / 4])
    book.close()
    async with ParserPool() as pool:
        text, _, _ = await told(pool, tmp_path / "book.xlsx")
        assert "Product 0-1 " in text
        assert "Product 199-399 " in text
        assert pool.statistics.peak_bytes < 256 << 20
