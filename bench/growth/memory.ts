/**
 * Memory of the gateway while it is sent documents that it has never seen: it has to stop growing once its caches are
 * full. Heaps are read after a collection, over the inspector of the process; nothing in the gateway helps.
 */

import { type Client, openClient } from '../ask.ts'
import { privateBytes, residentBytes, sessionsOf } from '../cpu.ts'
import { type BenchDatabase, openDatabase } from '../database.ts'
import { callersOf, type Question } from '../load.ts'
import { variablesOf } from '../operations.ts'
import { freePort, type ServerProcess } from '../processes.ts'
import { markdownTable } from '../report.ts'
import { SERVERS, startServer } from '../servers.ts'
import { variantOfQ3 } from '../variants.ts'
import type { Growth } from './compare.ts'
import { openInspector } from './inspector.ts'

const DOCUMENTS = 20_000
const STEP = 2_000
/** Documents after which memory has to stay what it is. */
const FULL = 10_000
/** Heap after all documents, of that after `FULL`. */
const GOAL = 1.05

interface Reading {
  readonly documents: number
  /** Bytes in use after a collection, and held by the process. */
  readonly heap: number
  readonly resident: number
  /** Of all Postgres sessions together, without the shared cache. */
  readonly sessions: number
}

export async function growMemory(): Promise<Growth> {
  const database = await openDatabase({
    name: 'memory',
    sizes: [{ size: 'S', tenants: 20, users: 20, tickets: 50 }],
    sharedBuffers: '256MB',
    report: console.error,
  })
  try {
    const readings = await readAll(database)
    return { text: textOf(readings), figures: { readings } }
  } finally {
    await database.stop()
  }
}

async function readAll(db: BenchDatabase): Promise<Reading[]> {
  const inspect = await freePort()
  const places = { configFile: db.configFile(), databaseUrl: '', dir: db.dir }
  const server = await startServer(SERVERS.ours, places, [`--inspect=127.0.0.1:${inspect}`])
  const client = openClient(server.port)
  const inspector = await openInspector(inspect)
  try {
    const readings: Reading[] = []
    for (let sent = 0; sent <= DOCUMENTS; sent += STEP) {
      if (sent > 0) await sendDocuments(db, client, sent - STEP)
      readings.push({ documents: sent, heap: await inspector.heapBytes(), ...processes(db, server) })
      console.error(`${sent} documents: heap ${mega(readings.at(-1)?.heap ?? 0)} MB`)
    }
    return readings
  } finally {
    inspector.close()
    client.end()
    await server.stop()
  }
}

function processes({ shards }: BenchDatabase, { pid }: ServerProcess) {
  const sessions = shards.flatMap((shard) => sessionsOf(shard.pid)).map(privateBytes)
  return { resident: residentBytes(pid), sessions: sessions.reduce((sum, bytes) => sum + bytes, 0) }
}

async function sendDocuments(db: BenchDatabase, client: Client, from: number): Promise<void> {
  const callers = await callersOf(db.shards.map(({ tenants }) => tenants))
  for (let number = from; number < from + STEP; number++) {
    const caller = callers[number % callers.length]!
    const body = JSON.stringify({
      query: variantOfQ3('shardgate', number),
      variables: variablesOf('Q3', caller, number, 'shardgate'),
    })
    const question: Question = { token: caller.token, body }
    await client.ask(question)
  }
}

function textOf(readings: readonly Reading[]): string {
  const rows = readings.map(({ documents, heap, resident, sessions }) => [
    documents.toLocaleString('en'),
    mega(heap),
    mega(resident),
    mega(sessions),
  ])
  const heapAt = (documents: number): number =>
    readings.find((reading) => reading.documents === documents)?.heap ?? 0
  const ratio = heapAt(DOCUMENTS) / heapAt(FULL)
  const table = markdownTable(
    ['distinct documents', 'heap in use, MB', 'resident, MB', 'Postgres sessions, MB'],
    rows,
  )
  const verdict = `Heap after ${DOCUMENTS} documents is ${ratio.toFixed(2)} of that after ${FULL}; goal ≤ ${GOAL}: ${ratio <= GOAL ? 'met' : '**missed**'}`
  return ['## Memory', table, verdict].join('\n\n')
}

function mega(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
