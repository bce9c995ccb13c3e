/** Opening the two ports. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'

/** The private port first: who listens on the public one is seen to be alive. @throws SETUP_FAILED  a port is taken */
export async function listenOnBoth(http: Server, admin: Server, config: Config): Promise<void> {
  await listenAdmin(admin, config)
  await listen(http, config.port, config.host, 'PORT').catch((error: unknown) => {
    admin.close()
    throw error
  })
}

/** The private port alone: of a process that serves nobody. @throws as `listenOnBoth` */
export function listenAdmin(admin: Server, { adminPort, adminHost }: Config): Promise<void> {
  return listen(admin, adminPort, adminHost, 'ADMIN_PORT')
}

async function listen(server: Server, port: number, host: string, name: string): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    const taken = `Port ${port} of ${host} is taken by another program. Choose another: ${name}=${port + 10}`
    return fail(
      'SETUP_FAILED',
      cause.code === 'EADDRINUSE' ? taken : `${name}: ${cause.message}.`,
      {},
      { cause },
    )
  })
}

/** Where a server listens; 0 for one that does not. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0
}
