from __future__ import annotations

import pytest

from athanor.rag.condense import TURNS, condensed, points_back
from athanor.types import Message, Role


def talk(*asked: str) -> list[Message]:
    """The user's turns, each answered but for the last."""
    turns = []
    for question in asked:
        turns += [
            Message(role=Role.USER, content=question),
            Message(role=Role.ASSISTANT, content="Zanzibar, of Course."),
        ]
    return turns[:-1]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            ("Who designed the Clifton Suspension Bridge?", "When was it opened?"),
            "When was it opened? Clifton Suspension Bridge designed",
        ),
        (("Who designed the Clifton Suspension Bridge?", "And when?"), "And when? Clifton Suspension Bridge designed"),
        (
            ("How do I cancel my subscription?", "How long does that take?"),
            "How long does that take? cancel subscription",
        ),
        (("What is the refund period?", "Why?"), "Why? refund period"),
        (
            ("Tell me about Ada Lovelace.", "Where was she born?", "And who was her father?"),
            "And who was her father? Ada Lovelace",
        ),
        (
            ("What is the capital of France?", "Thanks!", "How many people live there?"),
            "How many people live there? France",
        ),
        (("what is the boiling point of water?", "and of ethanol?"), "and of ethanol? boiling point water"),
        (
            ("What is the warranty on the X200?", "Does it cover the battery?"),
            "Does it cover the battery? X200 warranty",
        ),
    ],
)
def test_what_it_points_at_goes_along(asked: tuple[str, ...], expected: str) -> None:
    assert condensed(talk(*asked)) == expected


def test_a_name_that_takes_the_place_of_another_goes_without_it() -> None:
    found = condensed(talk("Who designed the Clifton Suspension Bridge?", "What about the Severn Bridge?"))
    assert found == "What about the Severn Bridge? designed"


@pytest.mark.parametrize(
    "question",
    [
        "What does the Premium plan cost?",
        "How many vacation days do employees have in 2024?",
        "Is this policy applied to contractors with fixed-term agreements?",
        "There is a fee for parking. How much is the fee for parking?",
        "Is there a limit on uploads?",
        "What is the deadline of the Hermes project?",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert not points_back(question)
    assert condensed(talk("Who leads the Athena project?", question)) == question


def test_the_first_question_and_no_question() -> None:
    assert condensed(talk("When was it opened?")) == "When was it opened?"
    assert condensed([]) == ""
    assert condensed([Message(role=Role.SYSTEM, content="Be brief about Rome.")]) == ""


def test_only_what_the_user_said_and_lately() -> None:
    said = condensed(talk("Tell me about Ada Lovelace.", "When was she born?"))
    assert "Zanzibar" not in said
    old = condensed(talk("Tell me about Ada Lovelace.", *["thanks a lot"] * TURNS, "When was she born?"))
    assert "Lovelace" not in old
