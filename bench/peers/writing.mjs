// createMessage without an inbox: as an ordinary transaction, and as one statement.
// Both return the stored row with the participants' IDs, or nothing if the author is not a participant.
import { v7 as newId } from 'uuid'
import { pool, statement } from './database.mjs'

const participants = statement(
  'participants',
  'SELECT user_id FROM participants WHERE conversation_id = $1',
)

const nextSeq = statement(
  'next_seq',
  'UPDATE conversations SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq',
)

const insertMessage = statement(
  'insert_message',
  `INSERT INTO messages (id, conversation_id, seq, author_id, content) VALUES ($1, $2, $3, $4, $5)
   RETURNING id, conversation_id, seq, author_id, content, created_at`,
)

const markRead = statement(
  'mark_read',
  'UPDATE participants SET read_seq = $3 WHERE conversation_id = $1 AND user_id = $2',
)

export async function storeInTransaction(conversationId, authorId, content) {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const userIds = (await participants([conversationId], client)).map((row) => row.user_id)
    if (!userIds.includes(authorId)) {
      await client.query('ROLLBACK')
      return null
    }
    const [{ last_seq: seq }] = await nextSeq([conversationId], client)
    const [message] = await insertMessage([newId(), conversationId, seq, authorId, content], client)
    await markRead([conversationId, authorId, seq], client)
    await client.query('COMMIT')
    return { ...message, user_ids: userIds }
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

const store = statement(
  'store',
  `WITH conversation AS (
     UPDATE conversations SET last_seq = last_seq + 1
     WHERE id = $1 AND EXISTS (SELECT FROM participants WHERE conversation_id = $1 AND user_id = $2)
     RETURNING id, last_seq
   ), message AS (
     INSERT INTO messages (id, conversation_id, seq, author_id, content)
     SELECT $3, id, last_seq, $2, $4 FROM conversation
     RETURNING id, conversation_id, seq, author_id, content, created_at
   ), mark AS (
     UPDATE participants SET read_seq = message.seq FROM message
     WHERE participants.conversation_id = message.conversation_id AND participants.user_id = $2
   )
   SELECT message.*, ARRAY(SELECT user_id FROM participants WHERE conversation_id = $1) AS user_ids
   FROM message`,
)

export async function storeInOneStatement(conversationId, authorId, content) {
  const [message] = await store([conversationId, authorId, newId(), content])
  return message ?? null
}
