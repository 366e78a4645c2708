"""What clients need to know about the server."""

import strawberry

from resolvers import server_info
from schema.info import Info


@strawberry.type(description="The limits that clients show to users, or check before they send something.")
class ServerLimits:
    message_characters: int = strawberry.field(
        description="Maximum length of a message, in Unicode code points."
    )
    edit_seconds: int = strawberry.field(
        description="How long authors can edit a message after they have sent it; 0 if they cannot."
    )
    read_marks_max_participants: int = strawberry.field(
        description="Maximum number of participants of a conversation in which they see how far the others"
        " have read; 0 if they never do."
    )


@strawberry.type(description="What clients need to know about this server.")
class ServerInfo:
    version: str = strawberry.field(description="The version of the server, such as `0.3.0`.")
    limits: ServerLimits = strawberry.field(description="The limits that apply to all users.")


@strawberry.type
class ServerInfoQueries:
    @strawberry.field(description="What clients need to know about this server. Does not require signing in.")
    def server_info(self, info: Info) -> ServerInfo:
        limits = server_info.limits(info.context)
        return ServerInfo(
            version=server_info.version(),
            limits=ServerLimits(
                message_characters=limits.message_characters,
                edit_seconds=limits.edit_seconds,
                read_marks_max_participants=limits.read_marks_max_participants,
            ),
        )
