// PostgreSQL for the Node peers: the pool, and authentication.
// pg reads the address from PGHOST, PGUSER and PGDATABASE.
import { createHash } from 'node:crypto'
import pg from 'pg'

export const pool = new pg.Pool({ max: 10 })

// pg prepares a named statement once per connection.
export const statement = (name, text) => (values, client = pool) =>
  client.query({ name, text, values }).then((result) => result.rows)

const session = statement(
  'session',
  `SELECT users.id, users.username, users.avatar_url
   FROM sessions JOIN users ON users.id = sessions.user_id
   WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`,
)

// A token is looked up once.
const viewers = new Map()

export async function viewerOf(authorization) {
  let viewer = viewers.get(authorization)
  if (!viewer) {
    const token = authorization?.replace('Bearer ', '') ?? ''
    ;[viewer] = await session([createHash('sha256').update(token).digest('hex')])
    if (!viewer) throw new Error('not signed in')
    viewers.set(authorization, viewer)
  }
  return viewer
}
