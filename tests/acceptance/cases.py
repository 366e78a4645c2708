"""What each mutation can change: the cases in which applying events is compared with fetching again."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from tests.acceptance import acts
from tests.acceptance.scene import Scene

Case = Callable[[Scene], Awaitable[None]]

CASES: dict[str, list[Case]] = {}
"""By the name of the mutation."""

NO_EVENTS = {
    "createConversation": "a conversation without messages is visible only to users who have opened it",
    "endSession": "sessions are fetched when they are shown, and only by their user",
    "endOtherSessions": "sessions are fetched when they are shown, and only by their user",
}
"""The mutations that change nothing that others or other devices show, with the reason."""


def _of(mutation: str) -> Callable[[Case], Case]:
    def add(case: Case) -> Case:
        CASES.setdefault(mutation, []).append(case)
        return case

    return add


@_of("createConversation")
async def a_new_conversation(scene: Scene) -> None:
    await scene.joan.opens_conversation_with(scene.hal)


@_of("createConversation")
async def one_that_exists(scene: Scene) -> None:
    await scene.grace.opens_conversation_with(scene.ada)
    await scene.hal.opens_conversation_with(scene.ada)


@_of("createMessage")
async def a_message(scene: Scene) -> None:
    await scene.pair.send(scene.grace)


@_of("createMessage")
async def a_message_in_a_group(scene: Scene) -> None:
    await scene.group.send(scene.joan)


@_of("createMessage")
async def the_first_message(scene: Scene) -> None:
    await scene.empty.send(scene.ada)


@_of("createMessage")
async def the_first_message_by_the_other(scene: Scene) -> None:
    await scene.empty.send(scene.hal)


@_of("createMessage")
async def a_message_that_is_sent_again(scene: Scene) -> None:
    key = str(uuid4())
    for _ in range(2):
        await scene.pair.send(scene.ada, "once", key=key)


@_of("createMessage")
async def messages_and_answers(scene: Scene) -> None:
    for talk in (scene.other_pair, scene.group, scene.other_pair, scene.pair):
        for author in (*talk.people, talk.people[0]):
            await talk.send(author)


@_of("readMessages")
async def a_whole_conversation(scene: Scene) -> None:
    await acts.read(scene.ada, scene.pair)


@_of("readMessages")
async def a_whole_group_by_one_after_the_other(scene: Scene) -> None:
    for reader in (scene.grace, scene.ada):
        await acts.read(reader, scene.group)


@_of("readMessages")
async def a_part(scene: Scene) -> None:
    for _ in range(3):
        await scene.pair.send(scene.grace)
    await acts.read(scene.ada, scene.pair, scene.pair.messages[-2])


@_of("readMessages")
async def a_part_that_is_before_the_messages_shown(scene: Scene) -> None:
    for _ in range(6):
        await scene.pair.send(scene.grace)
    await acts.read(scene.ada, scene.pair, scene.pair.messages[-6])


@_of("readMessages")
async def what_has_been_read(scene: Scene) -> None:
    for up_to in (None, scene.pair.messages[0], None):
        await acts.read(scene.ada, scene.pair, up_to)


@_of("updateMessage")
async def the_last_message(scene: Scene) -> None:
    await acts.edit(scene.grace, scene.pair.messages[-1], "edited")


@_of("updateMessage")
async def an_unread_message_in_a_group(scene: Scene) -> None:
    await acts.edit(scene.joan, scene.group.of(scene.joan)[-1], "edited")


@_of("updateMessage")
async def a_message_twice(scene: Scene) -> None:
    for content in ("edited", "edited again", "edited again"):
        await acts.edit(scene.ada, scene.pair.of(scene.ada)[-1], content)


@_of("updateMessage")
async def a_message_before_those_shown(scene: Scene) -> None:
    await acts.edit(scene.ada, scene.pair.messages[0], "edited")


@_of("deleteMessage")
async def the_last_message_which_is_unread(scene: Scene) -> None:
    await acts.delete(scene.grace, scene.pair, scene.pair.messages[-1])


@_of("deleteMessage")
async def one_of_several_unread_messages(scene: Scene) -> None:
    for _ in range(2):
        await scene.pair.send(scene.grace)
    await acts.delete(scene.grace, scene.pair, scene.pair.messages[-2])


@_of("deleteMessage")
async def a_message_that_has_been_read(scene: Scene) -> None:
    await acts.read(scene.ada, scene.group)
    await acts.delete(scene.joan, scene.group, scene.group.of(scene.joan)[-1])


@_of("deleteMessage")
async def an_edited_message_twice(scene: Scene) -> None:
    message = scene.group.of(scene.joan)[-1]
    await acts.edit(scene.joan, message, "edited")
    for _ in range(2):
        await acts.delete(scene.joan, scene.group, message)


@_of("deleteMessage")
async def a_message_that_was_sent_meanwhile(scene: Scene) -> None:
    await acts.delete(scene.joan, scene.other_pair, await scene.other_pair.send(scene.joan))


@_of("updateProfile")
async def a_username(scene: Scene) -> None:
    await acts.rename(scene.grace)


@_of("updateProfile")
async def a_picture(scene: Scene) -> None:
    await acts.set_picture(scene.joan, acts.PICTURE)


@_of("updateProfile")
async def a_picture_that_is_removed(scene: Scene) -> None:
    await acts.set_picture(scene.ada, acts.PICTURE)
    await acts.set_picture(scene.ada, None)


@_of("updateProfile")
async def a_username_in_a_conversation_without_messages(scene: Scene) -> None:
    """Those who have opened a conversation show it: Ada and Grace."""
    await acts.rename(scene.hal)


@_of("updateProfile")
async def a_picture_of_a_user_who_has_also_opened_a_conversation(scene: Scene) -> None:
    await acts.set_picture(scene.grace, acts.PICTURE)


@_of("endSession")
async def another_session(scene: Scene) -> None:
    await acts.end_session(scene, scene.ada)


@_of("endOtherSessions")
async def other_sessions(scene: Scene) -> None:
    await acts.end_other_sessions(scene, scene.ada)


async def a_removed_user(scene: Scene) -> None:
    """Remove a user in a pair and a group, who has not read everything."""
    for talk in (scene.other_pair, scene.group):
        await talk.send(scene.ada)
        await talk.send(scene.joan)
        await talk.send(scene.ada)
    await scene.remove(scene.joan)


async def a_removed_user_with_whom_there_are_no_messages(scene: Scene) -> None:
    await scene.remove(scene.hal)


REMOVALS: list[Case] = [a_removed_user, a_removed_user_with_whom_there_are_no_messages]
"""What the operator does, which users learn of in the same way."""
