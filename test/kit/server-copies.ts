/** A private server whose whole content can be had again: databases, roles and rights, as they were when they were kept. */

import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { PrivateServer } from './servers.ts'

export interface ServerCopy {
  /** Bring back what was kept. Ends all sessions; the port stays. */
  restore(): Promise<void>
}

/** Keep what the server holds now. It is away for a moment. The copy goes with the server's folder. */
export async function copyServer(server: PrivateServer): Promise<ServerCopy> {
  const folder = join(dirname(dirname(server.logFile)), 'data', server.name)
  const kept = `${folder}.kept-${copies++}`
  const copy = async (from: string, to: string): Promise<void> => {
    await server.stop()
    await rm(to, { recursive: true, force: true })
    await promisify(execFile)('cp', ['-a', from, to]) // Node's own copy changes the owner.
    await server.start()
  }
  await copy(folder, kept)
  return { restore: () => copy(kept, folder) }
}

let copies = 0

/** Work on a database, whoever the connection string names. */
export async function withPg<T>(url: string, work: (db: pg.Client) => Promise<T>): Promise<T> {
  const db = new pg.Client(url)
  await db.connect()
  try {
    return await work(db)
  } finally {
    await db.end()
  }
}
