/**
 * Whether Shardgate stays as cheap as it is when there is more of everything.
 *
 *     npm run bench:growth                       all of it, some 6 minutes
 *     PARTS=tenants ROUNDS=3 SLICE_S=1 npm run bench:growth
 *
 * - tenants   10 to 10,000 tenants in shared tables: CPU per request of gateway and Postgres
 * - shards    the same tenants on 1 to 8 shards, each a Postgres of its own, with fewer connections each
 * - memory    of the gateway, and of its Postgres sessions, while it is sent ever new documents
 */

import { growMemory } from './growth/memory.ts'
import { growShards } from './growth/shards.ts'
import { growTenants } from './growth/tenants.ts'
import { chosen } from './options.ts'
import { keepResults, machineLines, showOnPage } from './results.ts'

const PARTS = { tenants: growTenants, shards: growShards, memory: growMemory } as const
const NAMES = Object.keys(PARTS) as (keyof typeof PARTS)[]

const names = chosen('PARTS', NAMES)
const options = { rounds: Number(process.env.ROUNDS ?? 5), seconds: Number(process.env.SLICE_S ?? 2) }
const texts: string[] = []
const data: Record<string, unknown> = {}
for (const name of names) {
  const { text, figures } = await PARTS[name](options)
  console.log(`\n${text}\n`)
  texts.push(text)
  data[name] = figures
}
const lines = machineLines().map((line) => `- ${line}`)
const figures = [lines.join('\n'), ...texts].join('\n\n')
const whole = names.length === NAMES.length
const file = keepResults(whole ? 'growth' : 'partial-growth', `# Growth\n\n${figures}\n`, data)
if (whole) showOnPage('growth', figures)
console.log(`Kept in ${file} and beside it.`)
