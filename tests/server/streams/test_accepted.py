"""Subscriptions in mailboxes are read by processes of this version and of the one before."""

import json

from server.streams.accepted import AcceptedSubscription

SUBSCRIPTION = AcceptedSubscription(
    query="subscription S($after: String) { messageCreated(after: $after) { cursor } }",
    name="S",
    variables={"after": None, "text": "größer \ud800"},
    request_id="01a2",
    start="v1.7",
)
# What messenger 0.1.0 writes and reads.
WRITTEN_BY_0_1 = [
    "subscription S($after: String) { messageCreated(after: $after) { cursor } }",
    "S",
    {"after": None, "text": "größer \ud800"},
    "01a2",
    "v1.7",
]


def test_a_subscription_is_read_as_it_was_written():
    assert AcceptedSubscription.decode(SUBSCRIPTION.encode().encode()) == SUBSCRIPTION


def test_a_subscription_of_the_version_before_is_read():
    assert AcceptedSubscription.decode(json.dumps(WRITTEN_BY_0_1).encode()) == SUBSCRIPTION


def test_the_version_before_reads_a_subscription():
    assert json.loads(SUBSCRIPTION.encode()) == WRITTEN_BY_0_1
