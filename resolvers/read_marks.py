"""Marking messages as read, and the users who have read them."""

from collections.abc import Sequence
from uuid import UUID

from db import read_marks
from db.entries import InboxEntry
from db.includes import NO_MESSAGE_INCLUDES, ConversationIncludes, MessageIncludes
from db.prefetched import SeqRange
from db.read_marks import NotMarked
from db.records import Conversation, Message, Participant, User
from realtime.hints import hints_of
from resolvers.context import Context
from resolvers.conversations import no_such_conversation, participants_of
from resolvers.errors import UserError, UserErrorCode, data_lost
from resolvers.look_ahead import MessageLookAhead
from resolvers.paging import check_page_size
from resolvers.prefetching import prefetch
from resolvers.users import signed_in_user


async def read_messages(
    context: Context, conversation_id: UUID | None, up_to: UUID | None, *, whole: bool
) -> Conversation:
    """Mark the conversation as read up to the message, or with `whole` up to its last message.

    Messages that were already read stay read. If the mark moves, hints are published to the viewer's other
    devices, and to the other participants where read marks are shared. An ID that could not be decoded is
    None.

    Raises:
        UserError: the viewer has no such conversation, or the conversation has no such message.
        AccountGone: the viewer has just been removed.
    """
    viewer = context.require_viewer()
    if conversation_id is None:
        raise no_such_conversation()
    async with context.connection() as connection:
        marked = await read_marks.mark_read(
            connection,
            conversation_id,
            viewer.id,
            up_to=up_to,
            whole=whole,
            most_participants=context.rules.read_marks_max_participants,
        )
    if marked is NotMarked.NO_CONVERSATION:
        await signed_in_user(context)
        raise no_such_conversation()
    if marked is NotMarked.NO_MESSAGE:
        raise UserError(
            UserErrorCode.NOT_FOUND, "This conversation does not have that message.", "upToMessageId"
        )
    if marked.appended is not None:
        context.broadcaster.publish(hints_of(marked.appended))
    return marked.conversation


async def conversation_of_event(
    context: Context, entry: InboxEntry, includes: ConversationIncludes
) -> Conversation:
    """Return the conversation of an event of a read mark, as the viewer sees it."""
    conversation = None
    if entry.conversation_id is not None:
        conversation = await context.loaders.conversations(includes).load(entry.conversation_id)
    if conversation is None:
        raise data_lost(f"the event at {entry.position} is in no conversation of the viewer's")
    return conversation


async def participant_of_event(context: Context, entry: InboxEntry) -> Participant:
    """Return the participant whose mark has moved, in its current state."""
    if entry.conversation_id is not None:
        for participant in await participants_of(context, entry.conversation_id):
            if participant.user.id == entry.subject_id:
                return participant
    raise data_lost(
        f"the event at {entry.position} names a user who is not a participant of its conversation"
    )


async def participants_of_message(
    context: Context, message: Message, ahead: MessageLookAhead
) -> Sequence[Participant]:
    """Return the participants of a message's conversation."""
    await prefetch(context, message, ahead)
    return await participants_of(context, message.conversation_id)


def read_by(
    context: Context, message: Message, participants: Sequence[Participant], first: int
) -> Sequence[User]:
    """Return the first participants, by when they joined, who have read the message, without its author.

    Where read marks are not shared, there are none.

    Raises:
        BadUserInput: `first` is not 1 to 100.
    """
    check_page_size(first, "first")
    if not _are_shared(context, participants):
        return []
    others = [each for each in participants if each.user.id != message.author_id]
    return [each.user for each in others if each.read_seq >= message.seq][:first]


def is_read_by_others(context: Context, message: Message, participants: Sequence[Participant]) -> bool:
    """Return whether the other participants have read the message, which the viewer sent.

    At least one of them must have read it, and all but removed users, who never will. False unless read marks
    are shared.
    """
    others = [each for each in participants if each.user.id != message.author_id]
    without = [each for each in others if each.read_seq < message.seq]
    is_read = len(without) < len(others) and all(each.user.removed_at is not None for each in without)
    return is_read and _are_shared(context, participants)


async def last_read_message(
    context: Context, participant: Participant, includes: MessageIncludes = NO_MESSAGE_INCLUDES
) -> Message | None:
    """Return the last message that the participant has read; None if there is none.

    The viewer sees their own mark, and those of others only where read marks are shared.
    """
    if participant.read_seq == 0:
        return None
    if participant.user.id != context.require_viewer().id:
        participants = await participants_of(context, participant.conversation_id)
        if not _are_shared(context, participants):
            return None
    last = SeqRange(participant.conversation_id, participant.read_seq, participant.read_seq)
    return next(iter(await context.loaders.ranges(includes).load(last)), None)


def _are_shared(context: Context, participants: Sequence[Participant]) -> bool:
    """Return whether these participants of a conversation see how far the others have read."""
    return len(participants) <= context.rules.read_marks_max_participants
