"""The figures beside the switches are those of guards that there are, and whole."""

from __future__ import annotations

from athanor.guards.figures import published, summary
from athanor.plugins import names


def test_figures_are_of_guards_that_there_are_and_lie_in_their_intervals() -> None:
    figures = published()
    assert {"injection", "rules"} <= set(figures) <= set(names("guards"))
    for one in figures.values():
        assert one["rows"] > 1000
        assert one["p95_ms"] > 0
        for side in one["sides"].values():
            for share in side.values():
                assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1


def test_a_guard_without_figures_says_so() -> None:
    assert summary(None) == "no figures"
    assert "precision" in summary(published()["injection"])
