// The API on Mercurius with its JIT compiler; createMessage is one statement.
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { viewerOf } from './database.mjs'
import { announce } from './listening.mjs'
import * as reading from './reading.mjs'
import * as api from './schema.mjs'
import { storeInOneStatement } from './writing.mjs'

const app = Fastify({ logger: false })

const resolvers = {
  Query: {
    conversation: async (_root, { id }, { viewer }) =>
      (await reading.conversationsById([viewer.id, [id]]))[0] ?? null,
    conversations: async (_root, { first }, { viewer }) =>
      api.conversationConnection(await reading.recentConversations([viewer.id, first + 1]), first),
  },
  Mutation: {
    createMessage: async (_root, { input }, { viewer, pubsub }) => {
      const content = input.content.trim()
      const refused = api.refusal(content)
      if (refused) return { message: null, userErrors: [refused] }
      const message = await storeInOneStatement(input.conversationId, viewer.id, content)
      if (!message) return { message: null, userErrors: [api.notFound] }
      for (const userId of message.user_ids) {
        if (userId !== viewer.id) {
          await pubsub.publish({ topic: `messageCreated:${userId}`, payload: { messageCreated: message } })
        }
      }
      return { message, userErrors: [] }
    },
  },
  Subscription: {
    messageCreated: {
      subscribe: (_root, _arguments, { viewer, pubsub }) => pubsub.subscribe(`messageCreated:${viewer.id}`),
    },
  },
  MessageCreated: { cursor: (message) => message.id, message: (message) => message },
  User: api.fieldsOfRows.User,
  Conversation: {
    ...api.fieldsOfRows.Conversation,
    messages: async ({ id }, { last }) =>
      api.messageConnection(await reading.newestMessages([id, last + 1]), last),
  },
  Message: api.fieldsOfRows.Message,
}

// Without the loaders' cache, whose keys would be whole rows as JSON.
const loader = (load) => ({ loader: load, opts: { cache: false } })

const loaders = {
  Conversation: {
    otherParticipant: loader(async (queries, { viewer }) => {
      const ids = queries.map(({ obj }) => obj.id)
      return reading.inOrder(await reading.othersIn([viewer.id, ids]), 'conversation_id', ids)
    }),
    lastMessage: loader(async (queries) => {
      const ids = queries.map(({ obj }) => obj.id)
      const seqs = queries.map(({ obj }) => obj.last_seq)
      return reading.inOrder(await reading.lastMessages([ids, seqs]), 'conversation_id', ids)
    }),
  },
  Message: {
    author: loader(async (queries) => {
      const ids = queries.map(({ obj }) => obj.author_id)
      return reading.inOrder(await reading.usersById([[...new Set(ids)]]), 'id', ids)
    }),
    conversation: loader(async (queries, { viewer }) => {
      const ids = queries.map(({ obj }) => obj.conversation_id)
      return reading.inOrder(await reading.conversationsById([viewer.id, [...new Set(ids)]]), 'id', ids)
    }),
  },
}

const context = async ({ headers }) => ({ viewer: await viewerOf(headers.authorization) })

app.register(mercurius, {
  schema: api.typeDefs,
  resolvers,
  loaders,
  jit: 1,
  context,
  subscription: { context: (_connection, request) => context(request) },
})

await app.listen({ host: '127.0.0.1', port: 0, backlog: 2048 })
announce(app.server.address().port)
