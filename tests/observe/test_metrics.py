from __future__ import annotations

import pytest

from athanor.observe import Metrics
from athanor.observe.metrics import MAX_SERIES


def test_exposition() -> None:
    metrics = Metrics()
    metrics.counter("a_total", "Things\nthat \\ happened.").add(2)
    metrics.counter("b_total", "By label.", ("door",)).add(0.5, door='say "hi"\\\n')
    metrics.gauge("c", "A level.", lambda: 3)
    seconds = metrics.histogram("d_seconds", "Durations.", ("door",), buckets=(1.0, 0.1))
    for value in (0.05, 0.1, 0.5, 7):
        seconds.observe(value, door="x")
    assert metrics.render() == (
        "# HELP a_total Things\\nthat \\\\ happened.\n# TYPE a_total counter\na_total 2\n"
        '# HELP b_total By label.\n# TYPE b_total counter\nb_total{door="say \\"hi\\"\\\\\\n"} 0.5\n'
        "# HELP c A level.\n# TYPE c gauge\nc 3\n"
        "# HELP d_seconds Durations.\n# TYPE d_seconds histogram\n"
        'd_seconds_bucket{door="x",le="0.1"} 2\nd_seconds_bucket{door="x",le="1"} 3\n'
        'd_seconds_bucket{door="x",le="+Inf"} 4\nd_seconds_sum{door="x"} 7.65\nd_seconds_count{door="x"} 4\n'
    )


def test_label_sets_are_bounded() -> None:
    metrics = Metrics()
    counter = metrics.counter("a_total", "x", ("model",))
    for number in range(3 * MAX_SERIES):
        counter.add(model=f"m{number}")
    counter.add(model="m0")
    samples = [line for line in metrics.render().splitlines() if not line.startswith("#")]
    assert len(samples) == MAX_SERIES + 1
    assert 'a_total{model="m0"} 2' in samples
    assert f'a_total{{model="other"}} {2 * MAX_SERIES}' in samples


def test_a_name_is_one_metric() -> None:
    metrics = Metrics()
    assert metrics.counter("a_total", "x") is metrics.counter("a_total", "x")
    with pytest.raises(ValueError, match="counter already"):
        metrics.histogram("a_total", "x")
    with pytest.raises(ValueError, match="labels"):
        metrics.counter("a_total", "x").add(model="m")


def test_a_broken_gauge_is_left_out() -> None:
    metrics = Metrics()
    metrics.gauge("a", "x", lambda: 1 / 0)
    metrics.counter("b_total", "x")
    assert metrics.render().endswith("b_total 0\n")
    assert "\na " not in metrics.render()
