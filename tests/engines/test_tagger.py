"""The tagger: whole words, windows that tile a text, and one text's error that is not another's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from athanor.engines import LocalSettings, Tagger
from athanor.engines.adapters.tagger import OVERLAP, WINDOW, OnnxTagger, cut
from athanor.errors import ModelError
from athanor.models import resolve_tagger
from athanor.types import EngineStatus

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("count", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 5 * WINDOW + 17])
def test_windows_tile_the_text_and_fit_the_model(count):
    windows = [*cut(count, WINDOW)]
    taken = [place for _, _, left, right in windows for place in range(left, right)]
    assert taken == list(range(count))
    for start, end, left, right in windows:
        assert start <= left < right <= end
        assert end - start <= WINDOW
        # Away from the edges, except at those of the text.
        assert start == 0 or left - start >= OVERLAP // 2
        assert end == count or end - right >= OVERLAP // 2


@pytest.fixture(scope="module")
def resolved():
    try:
        return resolve_tagger()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
async def tagger(anyio_backend, resolved):
    tagger = OnnxTagger(resolved, LocalSettings(threads=1))
    yield tagger
    await tagger.aclose()


@pytest.mark.weights
async def test_nothing_is_loaded_before_the_first_text(resolved):
    tagger = OnnxTagger(resolved)
    assert tagger.state().status is EngineStatus.STOPPED
    assert await tagger.tag([]) == []
    assert tagger.state().status is EngineStatus.STOPPED
    await tagger.aclose()


@pytest.mark.weights
async def test_words_are_whole_and_names_are_likely(tagger):
    assert isinstance(tagger, Tagger)
    text = "My name is Margaret Thornbury and I live at 24 Clarke Avenue."
    (tagging,) = await tagger.tag([text])
    written = [text[start:end] for start, end in tagging.words]
    assert written == [
        "My",
        "name",
        "is",
        "Margaret",
        "Thornbury",
        "and",
        "I",
        "live",
        "at",
        "24",
        "Clarke",
        "Avenue",
        ".",
    ]
    labels = tagger.profile.labels
    assert len(tagging.scores) == len(written)
    assert all(len(row) == len(labels) and 0 <= sum(row) <= 1.001 for row in tagging.scores)
    row = dict(zip(labels, tagging.scores[written.index("Thornbury")], strict=True))
    assert row["GIVEN_NAME"] + row["SURNAME"] > 0.5
    assert dict(zip(labels, tagging.scores[written.index("Clarke")], strict=True))["STREET_NAME"] > 0.5


@pytest.mark.weights
async def test_a_text_is_tagged_the_same_alone_and_among_others(tagger):
    texts = [
        "Call Anna Svensson.",
        "x",
        "",
        "Nothing to see here at all, move along. " * 5,
        "Ask Peter Novak in Prague.",
    ]
    together = await tagger.tag(texts)
    alone = [(await tagger.tag([text]))[0] for text in texts]
    assert [t.words for t in together] == [t.words for t in alone]
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one.scores, other.scores, strict=True):
            assert a == pytest.approx(b, abs=2e-3)


@pytest.mark.weights
async def test_a_long_text_is_tagged_to_its_end(tagger):
    text = "The committee met again on the matter of the bridge. " * 60 + "It was chaired by Margaret Thornbury."
    (tagging,) = await tagger.tag([text])
    assert tagging.words[-1] == (len(text) - 1, len(text))
    place = next(i for i, (s, e) in enumerate(tagging.words) if text[s:e] == "Margaret")
    assert sum(tagging.scores[place][:2]) > 0.5


@pytest.mark.weights
async def test_texts_that_are_odd_do_not_end_the_process(tagger):
    odd = ["\x00", "한국어 텍스트 " * 50, "a" * 5000, "🙂" * 300, "\u202e\u200b"]
    assert [len(t.words) == len(t.scores) for t in await tagger.tag(odd)] == [True] * len(odd)
    assert tagger.state().status is EngineStatus.READY


@pytest.mark.weights
async def test_a_call_that_is_given_up_leaves_the_next_alone(tagger):
    task = asyncio.create_task(tagger.tag(["Margaret Thornbury " * 400]))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await tagger.tag(["fine"]))[0].words == ((0, 4),)


@pytest.mark.weights
async def test_a_file_that_is_no_model_is_named(resolved, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a model")
    tagger = OnnxTagger(replace(resolved, model=broken))
    try:
        with pytest.raises(ModelError):
            await tagger.tag(["x y"])
        assert tagger.state().status is EngineStatus.FAILED
    finally:
        await tagger.aclose()
