"""Subjects are only compared if they give the same answers."""

from uuid import UUID

import pytest

from bench.answers import differences
from schema.node import NodeType

MESSAGE_ID = UUID("01a22337-7dae-706b-9d86-37ab05ea6006")


def page(*nodes: object, cursor: str = "MQ") -> dict[str, object]:
    edges = [{"cursor": cursor, "node": node} for node in nodes]
    return {"data": {"messages": {"edges": edges, "pageInfo": {"startCursor": cursor}}}}


def test_answers_with_other_cursors_and_encoded_ids_are_alike():
    ours = page({"id": NodeType.MESSAGE.encode(MESSAGE_ID), "mine": True}, cursor="AAAB")
    assert list(differences(ours, page({"id": str(MESSAGE_ID), "mine": True}))) == []


def test_times_in_other_formats_are_alike():
    ours = page({"createdAt": "2026-11-28T17:46:03.347Z"})
    assert list(differences(ours, page({"createdAt": "2026-11-28T18:46:03.347000+01:00"}))) == []
    assert list(differences(ours, page({"createdAt": "2026-11-28T17:46:03.348Z"}))) != []


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (page({"mine": False}), "data.messages.edges[0].node.mine is true and false"),
        (page({"mine": None}), "data.messages.edges[0].node.mine is true and null"),
        (page({}), 'data.messages.edges[0].node.mine is true and "(missing)"'),
        (page({"mine": True, "more": 1}), 'data.messages.edges[0].node.more is "(missing)" and 1'),
        (page(), "data.messages.edges[0] is "),
        (page({"mine": True}, {"mine": True}), 'data.messages.edges[1] is "(missing)" and '),
    ],
)
def test_a_difference_is_found_with_its_place(other: object, difference: str):
    [found] = differences(page({"mine": True}), other)
    assert found.startswith(difference)


def test_ids_of_other_objects_differ():
    other_id = NodeType.MESSAGE.encode(UUID(int=MESSAGE_ID.int + 1))
    [found] = differences(page({"id": other_id}), page({"id": str(MESSAGE_ID)}))
    assert found.startswith("data.messages.edges[0].node.id is ")


def test_a_cursor_that_is_missing_is_a_difference():
    without: dict[str, object] = {"data": {"messages": {"edges": [], "pageInfo": {"startCursor": None}}}}
    [found] = differences(page(), without)
    assert found.startswith("data.messages.pageInfo.startCursor is ")
