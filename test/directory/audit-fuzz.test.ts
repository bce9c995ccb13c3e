/**
 * Tampering with the audit log, by chance: every change is found, with the right verdict at the right entry, and what
 * nobody has touched never raises an alarm.
 *
 * Whoever tampers has all rights on the database and knows how entries are sealed. `COUNT=10000` runs the long form,
 * `SEED=…` repeats a run.
 */

import { createHash } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/base/canonical.ts'
import { tenantId } from '../../src/base/ids.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type AuditHead, type AuditVerdict, appendAudit, verifyAudit } from '../../src/directory/audit.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { runRandom } from '../kit/random.ts'

const COUNT = Number(process.env.COUNT ?? 240)
const ENTRIES = 24
const random = runRandom().fork('audit')

interface Row {
  no: number
  at: string
  operator: string
  action: string
  tenant_id: string | null
  details: unknown
  previous: string
  hash: string
}

let fleet: TestFleet
let db: Client
let raw: pg.Client
let log: Row[]

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 } })
  db = await connect(fleet.directoryUrl)
  raw = new pg.Client(fleet.directoryUrl)
  await raw.connect()
  await raw.query(`set timezone = 'UTC'`)
  const tenants = [null, tenantId('acme'), tenantId('acme-2')]
  for (let n = 1; n <= ENTRIES; n++) {
    const entry = { operator: random.text(5), action: `did ${n}`, tenant: random.pick(tenants) }
    const details = { n, text: random.text(9), list: [random.int(9), null, { deep: random.unit() }] }
    await db.transaction(() => appendAudit(db, { ...entry, details }))
  }
  log = (await raw.query('select *, at::text as at from directory.audit order by no')).rows.map((row) => ({
    ...row,
    no: Number(row.no),
  }))
})
afterAll(async () => {
  await raw.end()
  await db.end()
  await fleet.drop()
})

/** As its writer seals it. */
function seal(row: Row): Row {
  const { no, at, operator, action, tenant_id, details, previous } = row
  const text = canonicalJson([no, at, operator, action, tenant_id, details, previous])
  return { ...row, hash: createHash('sha256').update(text).digest('hex') }
}

/** Entries from `from` on, numbered and sealed anew. */
function resealed(rows: readonly Row[], from: number): Row[] {
  const made: Row[] = []
  for (const [i, row] of rows.entries()) {
    made.push(i < from ? row : seal({ ...row, no: i + 1, previous: made[i - 1]?.hash ?? '' }))
  }
  return made
}

interface Tampering {
  readonly rows: Row[]
  /** Without a head that was kept. */
  readonly plain: Partial<AuditVerdict>
  /** With the head of the untouched log. */
  readonly kept: Partial<AuditVerdict>
}

const both = (rows: Row[], verdict: Partial<AuditVerdict>): Tampering => ({
  rows,
  plain: verdict,
  kept: verdict,
})

const EDITS: Readonly<Record<string, (row: Row) => Partial<Row>>> = {
  operator: ({ operator }) => ({ operator: `${operator}x` }),
  action: () => ({ action: 'did nothing' }),
  'a tenant': ({ tenant_id }) => ({ tenant_id: tenant_id === 'acme' ? 'acme-2' : 'acme' }),
  'a tenant that cannot be one': () => ({ tenant_id: random.pick(['', 'ACME', 'acme\n', '*']) }),
  details: ({ details }) => ({ details: { ...(details as object), extra: null } }),
  'details of another kind': () => ({ details: random.pick<unknown>([[], 7, 'text', {}]) }),
  'the moment': ({ at }) => ({ at: at.replace(/^\d/, (digit) => (digit === '2' ? '1' : '2')) }),
  'the hash before': ({ previous }) => ({ previous: flipped(previous) }),
  hash: ({ hash }) => ({ hash: flipped(hash) }),
}

function flipped(hash: string): string {
  if (hash === '') return 'f'.repeat(64)
  const at = random.int(hash.length)
  return hash.slice(0, at) + (hash[at] === '0' ? '1' : '0') + hash.slice(at + 1)
}

const WAYS: Readonly<Record<string, () => Tampering>> = {
  'edits an entry'() {
    const i = random.int(ENTRIES)
    const edit = EDITS[random.pick(Object.keys(EDITS))]!
    const rows = log.map((row, n) => (n === i ? { ...row, ...edit(row) } : row))
    return both(rows, { kind: 'altered', no: i + 1 })
  },
  'edits an entry and seals it anew'() {
    const i = random.int(ENTRIES - 1)
    const rows = log.map((row, n) => (n === i ? seal({ ...row, action: 'did nothing' }) : row))
    return both(rows, { kind: 'broken', no: i + 2 })
  },
  'takes entries out'() {
    const i = random.int(ENTRIES - 1)
    const count = 1 + random.int(ENTRIES - 1 - i)
    return both(log.toSpliced(i, count), { kind: 'broken', no: i + 1 + count })
  },
  'takes an entry out and closes the gap'() {
    const i = random.int(ENTRIES - 1)
    const rows = log.toSpliced(i, 1).map((row, n) => ({ ...row, no: n + 1 }))
    return both(rows, { kind: 'altered', no: i + 1 })
  },
  'exchanges two entries'() {
    const [i, k] = random
      .shuffle(Array.from(log.keys()))
      .slice(0, 2)
      .sort((a, b) => a - b) as [number, number]
    const rows = log.map((row, n) =>
      n === i ? { ...log[k]!, no: i + 1 } : n === k ? { ...log[i]!, no: k + 1 } : row,
    )
    return both(rows, { kind: 'altered', no: i + 1 })
  },
  'puts an entry in, well sealed'() {
    const i = random.int(ENTRIES - 1)
    const fake = seal({ ...log[i]!, action: 'did good', no: i + 1, previous: log[i - 1]?.hash ?? '' })
    const rows = [...log.slice(0, i), fake, ...log.slice(i).map((row) => ({ ...row, no: row.no + 1 }))]
    return both(rows, { kind: 'altered', no: i + 2 })
  },
  'puts an entry in after a gap'() {
    const fake = seal({ ...log.at(-1)!, no: ENTRIES + 2 + random.int(5), previous: log.at(-1)!.hash })
    return both([...log, fake], { kind: 'broken', no: fake.no })
  },
  'cuts the end off'() {
    const left = random.int(ENTRIES)
    const kept = { kind: 'cut', no: ENTRIES, entries: left } as const
    return { rows: log.slice(0, left), plain: { kind: 'intact', entries: left }, kept }
  },
  'writes the log anew from some entry on'() {
    const i = random.int(ENTRIES)
    const rows = resealed(log.with(i, { ...log[i]!, action: 'did good' }), i)
    return { rows, plain: { kind: 'intact', entries: ENTRIES }, kept: { kind: 'rewritten', no: ENTRIES } }
  },
  'takes an entry out and writes the rest anew, with one more at the end'() {
    const i = random.int(ENTRIES - 1)
    const rows = resealed([...log.toSpliced(i, 1), log[0]!], i)
    return { rows, plain: { kind: 'intact', entries: ENTRIES }, kept: { kind: 'rewritten', no: ENTRIES } }
  },
  'cuts off what follows an entry and goes on with a longer story'() {
    const i = 1 + random.int(ENTRIES - 2)
    const story = Array.from({ length: ENTRIES }, () => ({ ...log[0]!, action: 'a story' }))
    const rows = resealed([...log.slice(0, i), ...story], i)
    return { rows, plain: { kind: 'intact', entries: i + ENTRIES }, kept: { kind: 'rewritten', no: ENTRIES } }
  },
  'touches nothing'() {
    return both(log, { kind: 'intact', entries: ENTRIES })
  },
}

/** What is said of a log that holds `rows`; all of it is undone. */
async function verdictsOn(rows: readonly Row[], kept: AuditHead): Promise<[AuditVerdict, AuditVerdict]> {
  await db.query('begin')
  try {
    await db.query('set local session_replication_role = replica; delete from directory.audit')
    await db.query({
      text: `insert into directory.audit select * from jsonb_populate_recordset(null::directory.audit, $1)`,
      values: [JSON.stringify(rows)],
    })
    return [await verifyAudit(db), await verifyAudit(db, kept)]
  } finally {
    await db.query('rollback')
  }
}

describe('the audit log', () => {
  it(`finds all of ${COUNT} tamperings, and tells which and where`, async () => {
    const head = { no: ENTRIES, hash: log.at(-1)!.hash }
    const names = Object.keys(WAYS)
    const tally: Record<string, number> = {}
    for (let n = 0; n < COUNT; n++) {
      const name = names[n % names.length]!
      const { rows, plain, kept } = WAYS[name]!()
      const said = await verdictsOn(rows, head)
      expect([name, ...said]).toEqual([name, expect.objectContaining(plain), expect.objectContaining(kept)])
      tally[said[1].kind] = (tally[said[1].kind] ?? 0) + 1
    }
    console.log(`${COUNT} tamperings of ${names.length} sorts: ${JSON.stringify(tally)}`)
    expect(await verifyAudit(db, head)).toMatchObject({ kind: 'intact', entries: ENTRIES })
  }, 3_600_000)

  it('raises no alarm when those who write to it give up or are killed', async () => {
    const turns = Math.ceil(COUNT / 8)
    let kept = ENTRIES
    await Promise.all(
      [1, 2, 3].map(async (no) => {
        const chance = random.fork(`writer ${no}`)
        for (let n = 0; n < turns; n++) if (await writeOnce(chance.int(3))) kept++
      }),
    )
    expect(await verifyAudit(db)).toMatchObject({ kind: 'intact', entries: kept })
  }, 3_600_000)
})

/** @param fate  0 gives up, 1 is killed before its end, 2 is kept */
async function writeOnce(fate: number): Promise<boolean> {
  const writer = await connect(fleet.directoryUrl)
  try {
    await writer.transaction(async () => {
      await appendAudit(writer, { operator: 'ann', action: 'wrote', tenant: null, details: { fate } })
      if (fate === 0) throw new Error('given up')
      if (fate === 1) await writer.query('select pg_terminate_backend(pg_backend_pid())')
    })
    return true
  } catch (error) {
    if (fate === 2) throw error
    return false
  } finally {
    await writer.end().catch(() => {})
  }
}
