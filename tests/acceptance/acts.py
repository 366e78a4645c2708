"""What users do: at least one act for each mutation, with the choices made by the caller."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from uuid import uuid4

from tests.acceptance.scene import Scene, Talk
from tests.support.people import CREATE_CONVERSATION, Person

Act = Callable[[Scene, Person, Talk, int], Coroutine[None, None, None]]
"""Something that a participant does in a conversation. The number chooses among what is possible."""

_READ = "mutation ($input: ReadMessagesInput!) { readMessages(input: $input) { userErrors { code } } }"
_EDIT = "mutation ($input: UpdateMessageInput!) { updateMessage(input: $input) { userErrors { code } } }"
_DELETE = "mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { userErrors { code } } }"
_PROFILE = "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { code } } }"
_END = "mutation ($input: EndSessionInput!) { endSession(input: $input) { userErrors { code } } }"
_END_OTHERS = "mutation { endOtherSessions { endedSessionIds userErrors { code } } }"
_SESSIONS = "{ sessions { id current } }"

PICTURE = "https://pictures.example/one.png"


class Rejected(Exception):
    """A mutation had a user error, as it may have if others cross it. The code is the argument."""


async def _does(person: Person, document: str, **given: Any) -> None:
    """Execute a mutation.

    Raises:
        Rejected: it has not changed anything.
    """
    answer = await person.asks(document, **({"input": given} if given else {}))
    [payload] = answer.values()
    for error in payload["userErrors"]:
        raise Rejected(error["code"])


async def read(person: Person, talk: Talk, up_to: str | None = None) -> None:
    await _does(person, _READ, conversationId=talk.id, **({"upToMessageId": up_to} if up_to else {}))


async def edit(person: Person, message: str, content: str) -> None:
    await _does(person, _EDIT, messageId=message, content=content)


async def delete(person: Person, talk: Talk, message: str) -> None:
    await _does(person, _DELETE, messageId=message)
    talk.deleted.add(message)


async def rename(person: Person) -> None:
    username = f"{person.username.split('-')[0]}-{uuid4().hex[:12]}"
    await _does(person, _PROFILE, username=username)
    person.username = username


async def set_picture(person: Person, url: str | None) -> None:
    await _does(person, _PROFILE, avatarUrl=url)


async def end_session(scene: Scene, person: Person) -> None:
    """Sign in on another device, and end that session."""
    await scene.signs_in_again(person)
    sessions = (await person.asks(_SESSIONS))["sessions"]
    for session in [each["id"] for each in sessions if not each["current"]][:1]:
        await _does(person, _END, sessionId=session)


async def end_other_sessions(scene: Scene, person: Person) -> None:
    """Sign in on another device, and end all sessions but the first."""
    await scene.signs_in_again(person)
    await _does(person, _END_OTHERS)


async def _sends(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    key = str(uuid4())
    # One in four is sent again, as after a lost response.
    for _ in range(1 + (choice % 4 == 0)):
        await talk.send(person, f"number {len(talk.messages) + 1}" if choice % 4 else "again", key=key)


async def _reads(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    places = [*talk.messages, None]
    await read(person, talk, places[choice % len(places)])


async def _edits(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    own = [message for message in talk.of(person) if message not in talk.deleted]
    if own:
        await edit(person, own[choice % len(own)], f"edited {choice % 3}")


async def _deletes(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    own = talk.of(person)
    if own:
        await delete(person, talk, own[choice % len(own)])


async def _changes_profile(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    if choice % 2:
        await rename(person)
    else:
        await set_picture(person, PICTURE if choice % 4 else None)


async def _opens(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    [other, *_] = [each for each in talk.people if each is not person]
    if other not in scene.removed:
        await _does(person, CREATE_CONVERSATION, username=other.username)


async def _ends_session(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    await end_session(scene, person)


async def _ends_other_sessions(scene: Scene, person: Person, talk: Talk, choice: int) -> None:
    await end_other_sessions(scene, person)


ACTS: Mapping[str, Act] = {
    "createConversation": _opens,
    "createMessage": _sends,
    "readMessages": _reads,
    "updateMessage": _edits,
    "deleteMessage": _deletes,
    "updateProfile": _changes_profile,
    "endSession": _ends_session,
    "endOtherSessions": _ends_other_sessions,
}
"""By the name of the mutation."""
