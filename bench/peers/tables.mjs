// The tables for Grafast's PostgreSQL steps: the columns that pages read, and the constraints that the steps rely on.
import { makeRegistryBuilder, PgExecutor, pgResourceOptions, recordCodec, sql, TYPES } from '@dataplan/pg'
import { context, object } from 'grafast'

const executor = new PgExecutor({
  name: 'main',
  context: () => object({ withPgClient: context().get('withPgClient') }),
})

const required = (codec) => ({ codec, notNull: true })

const codec = (name, attributes) =>
  recordCodec({ executor, name, identifier: sql.identifier(name), attributes })

const resource = (of, primaryKey, ...otherKeys) =>
  pgResourceOptions({
    executor,
    name: of.name,
    from: of.sqlType,
    codec: of,
    uniques: [{ isPrimary: true, attributes: primaryKey }, ...otherKeys.map((attributes) => ({ attributes }))],
  })

const users = codec('users', {
  id: required(TYPES.uuid),
  username: required(TYPES.text),
  avatar_url: { codec: TYPES.text, notNull: false },
})

const conversations = codec('conversations', {
  id: required(TYPES.uuid),
  last_seq: required(TYPES.bigint),
})

const participants = codec('participants', {
  conversation_id: required(TYPES.uuid),
  user_id: required(TYPES.uuid),
  read_seq: required(TYPES.bigint),
  last_position: required(TYPES.bigint),
})

const messages = codec('messages', {
  id: required(TYPES.uuid),
  conversation_id: required(TYPES.uuid),
  seq: required(TYPES.bigint),
  author_id: required(TYPES.uuid),
  content: required(TYPES.text),
  // In the format of the other servers. Grafast's codec for timestamps formats them in SQL too.
  created_at: {
    ...required(TYPES.text),
    expression: (alias) =>
      sql`to_char(${alias}.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  },
})

const usersTable = resource(users, ['id'])
const conversationsTable = resource(conversations, ['id'])
const participantsTable = resource(participants, ['conversation_id', 'user_id'])
const messagesTable = resource(messages, ['id'], ['conversation_id', 'seq'])

const belongsTo = (localAttribute) => ({
  isReferencee: false,
  isUnique: true,
  localAttributes: [localAttribute],
  remoteAttributes: ['id'],
})

export const tables = makeRegistryBuilder()
  .addExecutor(executor)
  .addCodec(users)
  .addCodec(conversations)
  .addCodec(participants)
  .addCodec(messages)
  .addResource(usersTable)
  .addResource(conversationsTable)
  .addResource(participantsTable)
  .addResource(messagesTable)
  .addRelation(participants, 'conversation', conversationsTable, belongsTo('conversation_id'))
  .addRelation(participants, 'user', usersTable, belongsTo('user_id'))
  .addRelation(messages, 'author', usersTable, belongsTo('author_id'))
  .build().pgResources
