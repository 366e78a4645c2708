// The measured part of the messenger's API, with the same names, and the mapping from rows to its types.
import { readFileSync } from 'node:fs'

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8')

export const pages = read('pages.graphql')
export const typeDefs = pages + read('changes.graphql')

const MAX_CONTENT_CHARS = 480

// Returns why a message is invalid, or null if it is valid.
export function refusal(content) {
  if (!content) return { code: 'BLANK', message: 'Write something.', path: ['input', 'content'] }
  if (content.length > MAX_CONTENT_CHARS) {
    return { code: 'TOO_LONG', message: 'At most 480 characters.', path: ['input', 'content'] }
  }
  return null
}

export const notFound = {
  code: 'NOT_FOUND',
  message: 'You have no such conversation.',
  path: ['input', 'conversationId'],
}

const cursorOf = (number) => Buffer.from(String(number)).toString('base64url')

export function conversationConnection(rows, first) {
  const edges = rows
    .slice(0, first)
    .map((node) => ({ cursor: cursorOf(node.last_position), node }))
  return { edges, pageInfo: pageInfo(edges, rows.length > first, false) }
}

// A page of the newest messages, which come newest first.
export function messageConnection(rows, last) {
  const edges = rows
    .slice(0, last)
    .reverse()
    .map((node) => ({ cursor: cursorOf(node.seq), node }))
  return { edges, pageInfo: pageInfo(edges, false, rows.length > last) }
}

const pageInfo = (edges, hasNextPage, hasPreviousPage) => ({
  hasNextPage,
  hasPreviousPage,
  startCursor: edges.at(0)?.cursor ?? null,
  endCursor: edges.at(-1)?.cursor ?? null,
})

// What is the same in every server: the fields that a row has all it needs for.
export const fieldsOfRows = {
  User: { avatarUrl: (user) => user.avatar_url },
  Conversation: { unreadCount: (conversation) => conversation.unread_count },
  Message: {
    createdAt: (message) => message.created_at.toISOString(),
    mine: (message, _arguments, { viewer }) => message.author_id === viewer.id,
  },
}
