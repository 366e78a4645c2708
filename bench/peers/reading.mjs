// The statements for pages: one for each page, and one for the related objects of all its rows.
import { statement } from './database.mjs'

export const recentConversations = statement(
  'recent_conversations',
  `SELECT conversations.id, conversations.last_seq, participants.last_position,
          (conversations.last_seq - participants.read_seq)::int AS unread_count
   FROM participants JOIN conversations ON conversations.id = participants.conversation_id
   WHERE participants.user_id = $1 AND participants.last_position > 0
   ORDER BY participants.last_position DESC LIMIT $2`,
)

export const conversationsById = statement(
  'conversations_by_id',
  `SELECT conversations.id, conversations.last_seq, participants.last_position,
          (conversations.last_seq - participants.read_seq)::int AS unread_count
   FROM conversations JOIN participants ON participants.conversation_id = conversations.id
   WHERE participants.user_id = $1 AND conversations.id = ANY ($2::uuid[])`,
)

export const othersIn = statement(
  'others_in',
  `SELECT participants.conversation_id, users.id, users.username, users.avatar_url
   FROM participants JOIN users ON users.id = participants.user_id
   WHERE participants.conversation_id = ANY ($2::uuid[]) AND participants.user_id <> $1`,
)

export const lastMessages = statement(
  'last_messages',
  `SELECT messages.id, messages.conversation_id, messages.seq, messages.author_id, messages.content,
          messages.created_at
   FROM unnest($1::uuid[], $2::bigint[]) AS wanted (conversation_id, seq)
   JOIN messages ON messages.conversation_id = wanted.conversation_id AND messages.seq = wanted.seq`,
)

export const newestMessages = statement(
  'newest_messages',
  `SELECT id, conversation_id, seq, author_id, content, created_at
   FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2`,
)

export const usersById = statement(
  'users_by_id',
  'SELECT id, username, avatar_url FROM users WHERE id = ANY ($1::uuid[])',
)

// Rows in the order of what was asked for, as loaders want them; null for what is not there.
export const inOrder = (rows, key, wanted) => {
  const found = new Map(rows.map((row) => [row[key], row]))
  return wanted.map((each) => found.get(each) ?? null)
}
