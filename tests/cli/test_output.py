from __future__ import annotations

import pytest

from athanor.cli.output import show, size


def test_cells_are_data_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show([], json_=False, columns=("NAME", "ID"), rows=[("athanor[console]", "[red]x[/red]")], empty="")
    printed = capsys.readouterr().out
    assert "athanor[console]" in printed
    assert "[red]x[/red]" in printed


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text
