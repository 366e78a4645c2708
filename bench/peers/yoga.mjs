// The API on graphql-yoga. With `--one-statement` createMessage is one, else an ordinary transaction.
import { createServer } from 'node:http'
import DataLoader from 'dataloader'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { viewerOf } from './database.mjs'
import { announce } from './listening.mjs'
import * as reading from './reading.mjs'
import * as api from './schema.mjs'
import { storeInOneStatement, storeInTransaction } from './writing.mjs'

const store = process.argv.includes('--one-statement') ? storeInOneStatement : storeInTransaction
const pubSub = createPubSub()

const loadersFor = (viewer) => ({
  // Not kept: a subscription's context lives on, and unread counts change.
  conversation: new DataLoader(
    async (ids) => reading.inOrder(await reading.conversationsById([viewer.id, ids]), 'id', ids),
    { cache: false },
  ),
  otherParticipant: new DataLoader(async (ids) =>
    reading.inOrder(await reading.othersIn([viewer.id, ids]), 'conversation_id', ids),
  ),
  lastMessage: new DataLoader(
    async (conversations) => {
      const ids = conversations.map(({ id }) => id)
      const seqs = conversations.map(({ last_seq }) => last_seq)
      return reading.inOrder(await reading.lastMessages([ids, seqs]), 'conversation_id', ids)
    },
    { cacheKeyFn: ({ id }) => id },
  ),
  user: new DataLoader(async (ids) => reading.inOrder(await reading.usersById([ids]), 'id', ids)),
})

const resolvers = {
  Query: {
    conversation: (_root, { id }, { loaders }) => loaders.conversation.load(id),
    conversations: async (_root, { first }, { viewer }) =>
      api.conversationConnection(await reading.recentConversations([viewer.id, first + 1]), first),
  },
  Mutation: {
    createMessage: async (_root, { input }, { viewer }) => {
      const content = input.content.trim()
      const refused = api.refusal(content)
      if (refused) return { message: null, userErrors: [refused] }
      const message = await store(input.conversationId, viewer.id, content)
      if (!message) return { message: null, userErrors: [api.notFound] }
      for (const userId of message.user_ids) {
        if (userId !== viewer.id) pubSub.publish(`messageCreated:${userId}`, message)
      }
      return { message, userErrors: [] }
    },
  },
  Subscription: {
    messageCreated: {
      subscribe: (_root, _arguments, { viewer }) => pubSub.subscribe(`messageCreated:${viewer.id}`),
      resolve: (message) => ({ cursor: message.id, message }),
    },
  },
  User: api.fieldsOfRows.User,
  Conversation: {
    ...api.fieldsOfRows.Conversation,
    otherParticipant: ({ id }, _arguments, { loaders }) => loaders.otherParticipant.load(id),
    lastMessage: (conversation, _arguments, { loaders }) => loaders.lastMessage.load(conversation),
    messages: async ({ id }, { last }) =>
      api.messageConnection(await reading.newestMessages([id, last + 1]), last),
  },
  Message: {
    ...api.fieldsOfRows.Message,
    author: ({ author_id }, _arguments, { loaders }) => loaders.user.load(author_id),
    conversation: ({ conversation_id }, _arguments, { loaders }) => loaders.conversation.load(conversation_id),
  },
}

const yoga = createYoga({
  schema: createSchema({ typeDefs: api.typeDefs, resolvers }),
  context: async ({ request }) => {
    const viewer = await viewerOf(request.headers.get('authorization'))
    return { viewer, loaders: loadersFor(viewer) }
  },
  logging: false,
  graphiql: false,
  landingPage: false,
  cors: false,
  multipart: false,
})

const server = createServer(yoga)
server.listen({ host: '127.0.0.1', port: 0, backlog: 2048 }, () => announce(server.address().port))
