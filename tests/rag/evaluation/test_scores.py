"""Measures against values worked out by hand, and comparisons question by question."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from athanor.rag.evaluation import match
from athanor.rag.evaluation.asked import Asked, Found
from athanor.rag.evaluation.bootstrap import interval, paired, quantile
from athanor.rag.evaluation.metrics import ndcg, recall, reciprocal_rank
from athanor.rag.evaluation.scores import Given, answering, compare, figures, ranking
from athanor.types import Citation, Evaluation, Finished

NOTHING = Found(relevant={}, passages=False, unknown=())


def test_rankings_are_measured_as_by_hand() -> None:
    relevant = {"a": 3.0, "b": 1.0, "c": 2.0}
    ranked = ["x", "a", "a", "b", "y"]  # a is found once: the ranking of documents is x a b y
    gain = 3 / math.log2(3) + 1 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(ranked, relevant) == pytest.approx(gain / best)
    assert ndcg(ranked, relevant, k=1) == 0
    assert recall(ranked, relevant) == pytest.approx(2 / 3)
    assert recall(ranked, relevant, k=2) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranked, relevant) == 0.5
    assert reciprocal_rank(ranked, relevant, k=1) == 0
    assert reciprocal_rank(["x", "y"], relevant) == 0
    assert ndcg(["a", "c", "b"], relevant) == pytest.approx(1)
    eleven = {f"d{n}": 1.0 for n in range(11)}
    assert ndcg(list(eleven), eleven) == pytest.approx(1), "ten places can hold no more than ten"
    assert recall(list(eleven), eleven) == pytest.approx(10 / 11)


def test_an_interval_holds_the_mean_and_shrinks_with_more_questions() -> None:
    few, many = interval([0.0, 1.0] * 10), interval([0.0, 1.0] * 500)
    assert few.value == many.value == 0.5
    assert few.low < 0.5 < few.high
    assert many.high - many.low < few.high - few.low
    # Of a mean of n coins: 1.96 standard errors to either side.
    assert (many.high - many.low) / 2 == pytest.approx(1.96 * 0.5 / math.sqrt(1000), rel=0.1)
    assert interval([0.3]) == interval([0.3])
    same = paired([0.1, 0.9, 0.4], [0.2, 1.0, 0.5])
    assert (same.low, same.value, same.high) == pytest.approx((0.1, 0.1, 0.1)), "pairs, and not two samples"


def test_an_interval_covers_the_truth_nineteen_times_of_twenty() -> None:
    chance = np.random.default_rng(7)
    samples = chance.random((200, 100))
    covered = sum((found := interval(sample, rounds=300)).low <= 0.5 <= found.high for sample in samples)
    assert 178 <= covered <= 200


def test_a_percentile_has_an_interval_of_its_own() -> None:
    found = quantile([float(n) for n in range(101)], 0.95)
    assert found.value == pytest.approx(95)
    assert 85 < found.low < 95 < found.high <= 100


@pytest.mark.parametrize(
    ("answer", "expected", "values"),
    [
        ("The Eiffel Tower.", "eiffel tower", (1, 1, 1)),
        ("It was built in 1889 by Eiffel.", "1889", (0, 1, 2 / 8)),
        ("It costs 1,200 euros", "1200 euros", (0, 1, 4 / 6)),
        ("Version 2.5 of it", "2", (0, 0, 0)),
        ("no", "yes", (0, 0, 0)),
        ("", "yes", (0, 0, 0)),
        ("the the", "a", (1, 1, 1)),
        ("Straße 5", "STRASSE 5", (1, 1, 1)),
    ],
)
def test_answers_match_by_their_words(answer: str, expected: str, values: tuple[float, float, float]) -> None:
    found = (match.exact(answer, expected), match.contained(answer, expected), match.f1(answer, expected))
    assert found == pytest.approx(values)


def citation(source: str, chunk: str = "c") -> Citation:
    return Citation(
        document="d", version=1, page=None, start=0, end=1, quote="q", score=1.0, source=source, title="", chunk=chunk
    )


def given(text: str = "", *sources: str, abstained: bool = False, groundedness: float | None = None) -> Given:
    finished = Finished(abstained=abstained, groundedness=groundedness)
    return Given(text=text, citations=tuple(map(citation, sources)), finished=finished, seconds=0.5)


def test_an_answer_is_measured_by_what_is_known_and_by_nothing_else() -> None:
    found = Found(relevant={"a.md": 1, "b.md": 1}, passages=False, unknown=())
    asked = Asked(id="1", text="?", relevant=found.relevant, answer="forty two")
    values = answering(given("It is forty two.", "a.md", "a.md", "x.md", groundedness=0.9), asked, found)
    assert values == {
        "answer seconds": 0.5,
        "false abstention": 0,
        "answer exact": 0,
        "answer contained": 1,
        "answer f1": pytest.approx(2 * 2 / 6),
        "faithfulness": 0.9,
        "citation precision": 0.5,
        "citation recall": 0.5,
    }
    silent = answering(given("I did not find it: forty two", abstained=True), asked, found)
    assert silent["false abstention"] == 1
    assert silent["answer contained"] == 0, "an abstention says nothing"
    assert not {"faithfulness", "citation precision", "citation recall"} & set(silent)
    uncited = answering(given("forty two"), asked, found)
    assert uncited["citation recall"] == 0
    assert "citation precision" not in uncited
    assert answering(given("x"), Asked(id="2", text="?"), NOTHING) == {"answer seconds": 0.5}
    nothing = Asked(id="3", text="?", unanswerable=True)
    assert answering(given(abstained=True), nothing, NOTHING)["right abstention"] == 1
    assert answering(given("x"), nothing, NOTHING)["right abstention"] == 0
    assert ranking(["a"], NOTHING) == {}
    passages = Found(relevant={"a.md#c": 1}, passages=True, unknown=())
    assert answering(given("x", "a.md"), asked, passages)["citation precision"] == 1


def test_figures_average_only_the_questions_that_have_the_measure() -> None:
    made = figures([{"ndcg@10": 1.0, "seconds": 0.1}, {"ndcg@10": 0.0, "seconds": 0.3}, {"error": "x"}])
    assert made["ndcg@10"]["value"] == 0.5
    assert made["ndcg@10"]["questions"] == 2
    assert made["latency p50"]["value"] == pytest.approx(0.2)
    assert set(made) == {"ndcg@10", "latency p50", "latency p95"}


def evaluation(name: str, *details: dict[str, Any]) -> Evaluation:
    return Evaluation(
        id=name, base="b", version=1, revision=1, questions="q", created_at=1.0, figures={}, details=details
    )


def test_a_comparison_pairs_the_same_questions_and_no_others() -> None:
    before = evaluation(
        "before",
        *({"id": str(n), "digest": "d", "ndcg@10": 0.5, "seconds": 0.2} for n in range(20)),
        {"id": "changed", "digest": "old", "ndcg@10": 0.0},
        {"id": "failed", "digest": "d", "error": "x"},
    )
    after = evaluation(
        "after",
        *({"id": str(n), "digest": "d", "ndcg@10": 0.6 if n else 0.1, "seconds": 0.1} for n in range(20)),
        {"id": "changed", "digest": "new", "ndcg@10": 1.0},
        {"id": "failed", "digest": "d", "ndcg@10": 1.0},
    )
    found = compare(before, after)
    assert (found["shared"], found["only_before"], found["only_after"]) == (21, 1, 1)
    one = found["measures"]["ndcg@10"]
    assert (one["questions"], one["before"], one["after"]) == (20, 0.5, pytest.approx(0.575))
    assert one["difference"]["value"] == pytest.approx(0.075)
    assert one["difference"]["low"] < 0.075 < one["difference"]["high"] <= 0.1 + 1e-9
    assert found["measures"]["latency"]["difference"]["high"] == pytest.approx(-0.1)
    assert found["changed"][0] == {"id": "0", "measure": "ndcg@10", "before": 0.5, "after": 0.1}
