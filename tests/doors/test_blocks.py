from __future__ import annotations

from athanor.server.answers import Blocks
from athanor.types import Event, ReasoningDelta, TextDelta, ToolCallDelta


def told(*events: Event) -> tuple[list[tuple[str, int]], Blocks]:
    """The steps, pieces left out; and the blocks."""
    blocks = Blocks()
    steps = [step for event in events for step in blocks.take(event)] + list(blocks.end())
    return [(what, block.index) for what, block, _ in steps if what != "piece"], blocks


def begin(index: int) -> ToolCallDelta:
    return ToolCallDelta(index=index, id=f"call_{index}", name="f")


def more(index: int, arguments: str) -> ToolCallDelta:
    return ToolCallDelta(index=index, arguments=arguments)


def test_calls_that_come_at_the_same_time_are_told_one_after_the_other() -> None:
    mixed = (begin(0), more(0, '{"a":'), begin(1), more(1, '{"b":'), more(0, " 1}"), more(1, " 2}"), begin(2))
    steps, blocks = told(TextDelta(text="x"), *mixed)
    assert steps == [(what, i) for i in range(4) for what in ("open", "close")]
    assert [block.text for block in blocks.blocks] == ["x", '{"a": 1}', '{"b": 2}', ""]
    assert [block.id for block in blocks.blocks[1:]] == ["call_0", "call_1", "call_2"]


def test_a_call_that_never_gets_whole_holds_up_the_others_only_until_the_end() -> None:
    _, blocks = told(begin(0), more(0, '{"a'), begin(1), more(1, "{}"), begin(2), more(2, "{}"))
    assert [(block.name, block.text, block.done) for block in blocks.blocks] == [
        ("f", '{"a', True),
        ("f", "{}", True),
        ("f", "{}", True),
    ]


def test_a_proof_ends_a_thought_and_finds_the_one_it_belongs_to() -> None:
    _, blocks = told(
        ReasoningDelta(text="I "),
        ReasoningDelta(text="think."),
        ReasoningDelta(signature="p"),
        ReasoningDelta(text="More."),
        ReasoningDelta(signature="hidden", redacted=True),
        TextDelta(text="x"),
        ReasoningDelta(signature="late"),
    )
    found = [(block.kind, block.text, block.signature, block.redacted) for block in blocks.blocks]
    assert found == [
        ("reasoning", "I think.", "p", False),
        ("reasoning", "More.", None, False),
        ("reasoning", "", "hidden", True),
        ("text", "x", None, False),
        ("reasoning", "", "late", False),
    ]


def test_pieces_of_text_around_a_call_are_two_texts_that_know_where_they_begin() -> None:
    _, blocks = told(TextDelta(text="one"), begin(0), more(0, "{}"), TextDelta(text="two"))
    assert [(block.kind, block.start) for block in blocks.blocks if block.kind == "text"] == [("text", 0), ("text", 3)]
