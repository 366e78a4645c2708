"""The cache of a client, which learns of changes from events alone.

It is written as docs/clients.md tells a frontend developer: objects are merged by their ID, and an event
writes what its payload says. It follows three rules besides, because an event does not repeat every object
that it is about:

- A new message moves its conversation to the top of the list, and its author has read the earlier ones.
- A read mark is about all messages up to `lastReadMessage`.
- `readByOthers` is true if another participant has read the message, and each one who has not been removed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

JSON = dict[str, Any]


@dataclass(frozen=True)
class Ref:
    """An object that the cache has once, by its ID."""

    id: str


@dataclass
class Cache:
    """What a client shows: its user, the list of conversations, and a page of the messages of each."""

    viewer: str
    cursor: str
    has_all: bool
    """Whether all of the user's conversations are in the list."""
    totals: JSON
    """How much was unread when this was fetched."""
    objects: dict[str, JSON] = field(default_factory=dict[str, JSON])
    listed: list[str] = field(default_factory=list[str])
    """The conversations in the list, most recently active first."""
    loaded: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The messages of each conversation that has been loaded, oldest first."""

    @classmethod
    def of(cls, snapshot: JSON) -> "Cache":
        """Return the cache of a client that has just made the query SNAPSHOT."""
        conversations = snapshot["conversations"]
        has_all = not conversations["pageInfo"]["hasNextPage"]
        cache = cls(snapshot["viewer"]["id"], snapshot["inboxCursor"], has_all, snapshot["unread"])
        cache._write(snapshot["viewer"])
        for edge in conversations["edges"]:
            cache.listed.append(edge["node"]["id"])
            cache.load(edge["node"])
        return cache

    def load(self, conversation: JSON) -> None:
        """Add a conversation with its newest messages."""
        messages = [edge["node"] for edge in conversation["messages"]["edges"]]
        self._write({name: value for name, value in conversation.items() if name != "messages"})
        self._write(messages)
        self.loaded[conversation["id"]] = [message["id"] for message in messages]

    def apply(self, event: JSON) -> None:
        """Apply an event, and keep its cursor. An event of an unknown type changes nothing else."""
        handle = HANDLERS.get(event["__typename"])
        if handle is not None:
            handle(self, event)
        self.cursor = event["cursor"]

    def badge(self) -> JSON:
        """Return the totals, from the counts of the conversations, all of which must be in the list."""
        counts = [self.objects[conversation]["unreadCount"] for conversation in self.listed]
        return {"conversations": sum(count > 0 for count in counts), "messages": sum(counts)}

    def shown(self, *, like: "Cache | None" = None) -> JSON:
        """Return what the client shows, field by field; of `like` only as much as that one has."""
        like = like or self
        listed = self.listed if like.has_all else self.listed[: len(like.listed)]
        return {
            "viewer": self._whole(Ref(self.viewer)),
            "listed": listed,
            "conversations": {
                conversation: {
                    **self._whole(Ref(conversation)),
                    "messages": [self._whole(Ref(message)) for message in _last(messages, len(kept))],
                }
                for conversation, messages in self.loaded.items()
                if (kept := like.loaded.get(conversation)) is not None
            },
            "only listed": {
                conversation: self._whole(Ref(conversation))
                for conversation in listed
                if conversation not in like.loaded
            },
        }

    def message_created(self, event: JSON) -> None:
        """Add the message, and move its conversation to the top. Its author has read the earlier ones."""
        message = self._write(event["message"])
        conversation = self.objects[message.id]["conversation"].id
        self.listed = [conversation, *(other for other in self.listed if other != conversation)]
        messages = self.loaded.get(conversation)
        if messages is None:
            return
        if message.id not in messages:
            messages.append(message.id)
        author = self.objects[message.id]["author"]
        self._add_reader(conversation, author, messages[: messages.index(message.id)])

    def message_changed(self, event: JSON) -> None:
        """Write the message and the counts of its conversation."""
        self._write(event["message"])

    def read_mark_moved(self, event: JSON) -> None:
        """Write the counts of the conversation, and add the reader to the messages that have been read."""
        conversation = self._write(event["conversation"]).id
        participant = self._write(event["participant"])
        last = participant["lastReadMessage"]
        if last is not None and "participants" in self.objects[conversation]:
            for messages in self._known(conversation):
                self._add_reader(conversation, participant["user"], self._up_to(last, messages))

    def user_updated(self, event: JSON) -> None:
        """Write the user. A removed user no longer counts for `readByOthers`."""
        self._write(event["user"])
        for conversation in {*self.listed, *self.loaded}:
            self._check_read_by_others(conversation)

    def _known(self, conversation: str) -> Sequence[Sequence[str]]:
        """Return the messages that the cache has of a conversation, in runs without gaps."""
        loaded = self.loaded.get(conversation, [])
        last: Ref | None = self.objects[conversation]["lastMessage"]
        return [loaded] if last is None or last.id in loaded else [loaded, [last.id]]

    def _up_to(self, last: Ref, messages: Sequence[str]) -> Sequence[str]:
        """Return those of the messages that are not after the last one that was read."""
        if last.id in messages:
            return messages[: messages.index(last.id) + 1]
        # It is older than all of them, or newer. Times increase within a conversation.
        times = [self.objects[message]["createdAt"] for message in messages]
        return messages if times and self.objects[last.id]["createdAt"] >= times[-1] else []

    def _add_reader(self, conversation: str, reader: Ref, messages: Sequence[str]) -> None:
        participants: list[Ref] = self.objects[conversation]["participants"]
        for message in messages:
            fields = self.objects[message]
            if fields["author"] != reader and reader not in fields["readBy"]:
                fields["readBy"] = sorted([*fields["readBy"], reader], key=participants.index)
        self._check_read_by_others(conversation)

    def _check_read_by_others(self, conversation: str) -> None:
        participants: list[Ref] = self.objects[conversation]["participants"]
        others = [
            each
            for each in participants
            if each.id != self.viewer and self.objects[each.id]["removedAt"] is None
        ]
        for messages in self._known(conversation):
            for message in messages:
                fields = self.objects[message]
                readers = fields["readBy"]
                is_read = bool(readers) and all(each in readers for each in others)
                fields["readByOthers"] = fields["mine"] and is_read

    def _write(self, value: Any) -> Any:
        """Store the objects in a payload, and return it with references to them."""
        if isinstance(value, list):
            return [self._write(each) for each in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        given = cast(JSON, value)
        fields = {name: self._write(each) for name, each in given.items()}
        if "id" not in given:
            return fields
        known = self.objects.setdefault(given["id"], {})
        if fields.get("version", 0) >= known.get("version", 0) or "version" not in fields:
            known.update(fields)
        return Ref(given["id"])

    def _whole(self, value: Any, name: str = "") -> Any:
        """Return a value with the objects instead of references. A message names its conversation only."""
        if isinstance(value, list):
            return [self._whole(each, name) for each in cast("list[Any]", value)]
        if not isinstance(value, Ref):
            return value
        if name == "conversation":
            return value.id
        return {name: self._whole(each, name) for name, each in self.objects[value.id].items()}


HANDLERS: Mapping[str, Callable[[Cache, JSON], None]] = {
    "MessageCreated": Cache.message_created,
    "MessageUpdated": Cache.message_changed,
    "MessageDeleted": Cache.message_changed,
    "ReadMarkMoved": Cache.read_mark_moved,
    "UserUpdated": Cache.user_updated,
}


def differences(has: Any, fetched: Any, path: str = "") -> list[str]:
    """Return where two values differ, one line for each field."""
    if isinstance(has, dict) and isinstance(fetched, dict):
        one, other = cast(JSON, has), cast(JSON, fetched)
        found = [f"{path} has {sorted(one)}, not {sorted(other)}"] if set(one) != set(other) else []
        for name in sorted(set(one) & set(other)):
            found += differences(one[name], other[name], f"{path}.{name}")
        return found
    if isinstance(has, list) and isinstance(fetched, list):
        some, others = cast("list[Any]", has), cast("list[Any]", fetched)
        if len(some) == len(others):
            pairs = enumerate(zip(some, others, strict=True))
            return [line for at, (one, other) in pairs for line in differences(one, other, f"{path}[{at}]")]
    return [] if has == fetched else [f"{path} is {has!r}, and {fetched!r} if fetched"]


def _last(items: Sequence[str], count: int) -> Sequence[str]:
    return items[len(items) - count :] if count else []
