/**
 * The ledger: what a client was promised, written down before it is counted.
 *
 * Each acknowledged write becomes a line in a file, and the line is flushed to disk before
 * `acknowledged` resolves, so that the list outlives the crash that it is there to judge. Afterwards
 * the rows that are found are held against it:
 *
 *     acknowledged and not there        lost
 *     there more than once              duplicated
 *     there and never promised          unknown
 *
 * A write whose outcome the client could not learn may be there once, or not at all.
 */

import { readFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

export interface Write {
  readonly tenant: string
  /** Names the write among all writes of the tenant: a value that the test chose and stored in the row. */
  readonly key: string
}

export interface Verdict {
  readonly lost: readonly Write[]
  readonly duplicated: readonly Write[]
  readonly unknown: readonly Write[]
}

export interface Ledger {
  /** Acknowledged writes on disk. */
  readonly count: number
  /** The server said yes. Resolves when the line is on disk. */
  acknowledged(write: Write): Promise<void>
  /** The answer never came, or was OUTCOME_UNKNOWN. Resolves as above. */
  unsure(write: Write): Promise<void>
  /** Hold the rows that are there against what was promised. */
  reconcile(rows: Iterable<Write>): Verdict
  close(): Promise<void>
}

type Outcome = 'acknowledged' | 'unsure'

/** Open the ledger in `file`, going on with what an earlier process wrote there. */
export async function openLedger(file: string): Promise<Ledger> {
  const handle = await open(file, 'a')
  const { outcomes, bytes } = readLines(file)
  await handle.truncate(bytes)
  let count = 0
  for (const { outcome } of outcomes.values()) if (outcome === 'acknowledged') count++
  const flush = groupFlush(handle)
  const note = async (write: Write, outcome: Outcome): Promise<void> => {
    await flush(`${JSON.stringify([outcome, write.tenant, write.key])}\n`)
    outcomes.set(nameOf(write), { write, outcome })
    if (outcome === 'acknowledged') count++
  }
  return {
    get count() {
      return count
    },
    acknowledged: (write) => note(write, 'acknowledged'),
    unsure: (write) => note(write, 'unsure'),
    reconcile: (rows) => reconcile(outcomes, rows),
    close: () => handle.close(),
  }
}

type Outcomes = Map<string, { readonly write: Write; readonly outcome: Outcome }>

const nameOf = ({ tenant, key }: Write): string => `${tenant}\0${key}`

// What a crash cut off in the middle of a line was not flushed, so nobody has counted it.
function readLines(file: string): { outcomes: Outcomes; bytes: number } {
  const text = readFileSync(file, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const outcomes: Outcomes = new Map()
  for (const line of whole.split('\n').filter(Boolean)) {
    const [outcome, tenant, key] = JSON.parse(line) as [Outcome, string, string]
    outcomes.set(nameOf({ tenant, key }), { write: { tenant, key }, outcome })
  }
  return { outcomes, bytes: Buffer.byteLength(whole) }
}

function reconcile(outcomes: Outcomes, rows: Iterable<Write>): Verdict {
  const found = new Map<string, { readonly write: Write; times: number }>()
  for (const write of rows) {
    const entry = found.get(nameOf(write)) ?? { write, times: 0 }
    entry.times++
    found.set(nameOf(write), entry)
  }
  const promised = Array.from(outcomes, ([name, { write, outcome }]) => ({ name, write, outcome }))
  const present = Array.from(found, ([name, { write, times }]) => ({ name, write, times }))
  return {
    lost: promised.filter((it) => it.outcome === 'acknowledged' && !found.has(it.name)).map((it) => it.write),
    duplicated: present.filter((it) => it.times > 1).map((it) => it.write),
    unknown: present.filter((it) => !outcomes.has(it.name)).map((it) => it.write),
  }
}

// Lines that arrive while the disk is busy share the next flush: one flush for each write would make
// the ledger the slowest part of the test.
function groupFlush(handle: FileHandle): (line: string) => Promise<void> {
  let waiting = ''
  let next: Promise<void> | undefined
  let current: Promise<void> = Promise.resolve()
  const write = async (): Promise<void> => {
    await current.catch(() => {}) // whoever waited for that flush has been told
    const lines = waiting
    waiting = ''
    current = next!
    next = undefined
    await handle.appendFile(lines)
    await handle.datasync()
  }
  return (line) => {
    waiting += line
    next ??= Promise.resolve().then(write)
    return next
  }
}
