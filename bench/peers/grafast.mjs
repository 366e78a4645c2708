// The pages on Grafast with its PostgreSQL steps, which merge everything that a document selects into one statement.
// DEBUG="@dataplan/pg:PgExecutor" prints it.
import { createServer } from 'node:http'
import { TYPES } from '@dataplan/pg'
import { createWithPgClient } from '@dataplan/pg/adaptors/pg'
import { connection, context, lambda, makeGrafastSchema } from 'grafast'
import { grafserv } from 'grafserv/node'
import { pool, viewerOf } from './database.mjs'
import { announce } from './listening.mjs'
import { pages } from './schema.mjs'
import { tables } from './tables.mjs'

const viewerId = () => context().get('viewer').get('id')

// A conversation is the viewer's row of `participants`.
const objects = {
  Query: {
    plans: {
      conversation: (_root, { $id }) => tables.participants.get({ conversation_id: $id, user_id: viewerId() }),
      conversations(_root, fieldArgs) {
        const $recent = tables.participants.find({ user_id: viewerId() })
        $recent.where((sql) => sql`${$recent}.last_position > 0`)
        $recent.orderBy({ attribute: 'last_position', direction: 'DESC' })
        $recent.setOrderIsUnique()
        return connection($recent, { fieldArgs })
      },
    },
  },
  Conversation: {
    plans: {
      id: ($conversation) => $conversation.get('conversation_id'),
      otherParticipant($conversation) {
        const $others = tables.participants.find({ conversation_id: $conversation.get('conversation_id') })
        const viewer = $others.placeholder(viewerId(), TYPES.uuid)
        $others.where((sql) => sql`${$others}.user_id <> ${viewer}`)
        return $others.single().singleRelation('user')
      },
      lastMessage($conversation) {
        // Both values come from one table, so that this becomes a join too.
        const $row = $conversation.singleRelation('conversation')
        return tables.messages.get({ conversation_id: $row.get('id'), seq: $row.get('last_seq') })
      },
      unreadCount: ($conversation) =>
        lambda(
          [$conversation.singleRelation('conversation').get('last_seq'), $conversation.get('read_seq')],
          difference,
          true,
        ),
      messages($conversation, fieldArgs) {
        const $messages = tables.messages.find({ conversation_id: $conversation.get('conversation_id') })
        $messages.orderBy({ attribute: 'seq', direction: 'ASC' })
        $messages.setOrderIsUnique()
        return connection($messages, { fieldArgs })
      },
    },
  },
  Message: {
    plans: {
      createdAt: ($message) => $message.get('created_at'),
      mine: ($message) => lambda([$message.get('author_id'), viewerId()], areEqual, true),
      author: ($message) => $message.singleRelation('author'),
      conversation: ($message) =>
        tables.participants.get({ conversation_id: $message.get('conversation_id'), user_id: viewerId() }),
    },
  },
  User: {
    plans: {
      avatarUrl: ($user) => $user.get('avatar_url'),
    },
  },
}

// Callbacks are deduplicated if they are the same function.
function difference([greater, less]) {
  return greater - less
}

function areEqual([one, other]) {
  return one === other
}

const withPgClient = createWithPgClient({ pool })

const preset = {
  grafast: {
    context: async ({ node }) => ({ withPgClient, viewer: await viewerOf(node.req.headers.authorization) }),
  },
  grafserv: {
    graphiql: false,
    websockets: false,
  },
}

const server = createServer()
const schema = makeGrafastSchema({ typeDefs: pages, objects })
await grafserv({ schema, preset }).addTo(server)
server.listen({ host: '127.0.0.1', port: 0, backlog: 2048 }, () => announce(server.address().port))
