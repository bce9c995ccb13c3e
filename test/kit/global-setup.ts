/**
 * Three Postgres servers for the whole run, fast instead of durable, in a folder of their own.
 *
 * They are not restarted and not stopped by any test; who needs to do that takes `privateServer()`.
 */

import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startEmbedded } from '../../src/db/embedded/start.ts'
import { removeEmbedded, serverFolder } from './folders.ts'

export type ServerName = 'a' | 'b' | 'c'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser connection strings, on the database `postgres`. */
    servers: Readonly<Record<ServerName, string>>
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = serverFolder()
  // For the workers, and by way of child-env.ts for the processes that tests start.
  process.env.NODE_COMPILE_CACHE ??= join(dir, 'compiled')
  const embedded = await startEmbedded({ dir, names: ['a', 'b', 'c'], durable: false })
  const url = (name: ServerName): string => embedded.get(name).superuserUrl()
  project.provide('servers', { a: url('a'), b: url('b'), c: url('c') })
  return async () => {
    await embedded.stopAll()
    removeEmbedded(dir)
  }
}
