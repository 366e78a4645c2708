// Reports a peer's address to the benchmark, and exits on SIGTERM.
import { pool } from './database.mjs'

export function announce(port) {
  console.error(JSON.stringify({ event: 'serving', listening: `http://127.0.0.1:${port}` }))
  process.once('SIGTERM', () => {
    pool.end().finally(() => process.exit())
  })
}
