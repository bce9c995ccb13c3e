/** What an adoption is written from: the findings of every shard, and the rows that belong to nobody. */

import type { Client } from '../db/client.ts'
import { quoted } from '../model/quote.ts'
import type { TableName } from '../model/safety/facts.ts'
import { checkSafety, type Finding, type SafetyQuestion } from '../model/safety.ts'
import { adoptionSql, canMend } from './adopt.ts'
import { onShard, type ShardAccess } from './reach.ts'

export interface AdoptionDraft {
  /** A migration; undefined when there is nothing that it could mend. */
  readonly text?: string
  /** Unsafe findings that only a person can mend; the migration names them too. */
  readonly byHand: number
  /** 'schema.name' of tables with rows that have no tenant; the migration will not pass them. */
  readonly orphaned: readonly string[]
}

/**
 * Examine the shards and write one migration for all of them. Changes nothing.
 *
 * @param shards  each with the URL of its owner role
 * @throws SHARD_UNAVAILABLE  one of them cannot be reached: what it lacks would be missing in the migration
 */
export async function draftAdoption(
  shards: readonly ShardAccess[],
  question: SafetyQuestion,
): Promise<AdoptionDraft> {
  const orphans = new Map<string, number>()
  const examined = shards.map((shard) =>
    onShard(shard, async (client) => {
      const findings = await checkSafety(client, question)
      await countOrphans(client, findings, question.column, orphans)
      return findings
    }),
  )
  const findings = (await Promise.all(examined)).flat()
  const byHand = findings.filter(({ mend, severity }) => !mend && severity === 'unsafe').length
  const orphaned = [...orphans].filter(([, rows]) => rows > 0).map(([table]) => table)
  if (!canMend(findings)) return { byHand, orphaned }
  const adoption = { column: question.column, orphans, shards: shards.map(({ key }) => key) }
  return { text: adoptionSql(findings, adoption), byHand, orphaned }
}

async function countOrphans(
  client: Client,
  findings: readonly Finding[],
  column: string,
  orphans: Map<string, number>,
): Promise<void> {
  for (const { mend } of findings) {
    if (mend?.kind !== 'not-null') continue
    const id = `${mend.table.schema}.${mend.table.name}`
    const rows = await orphansOf(client, mend.table, column)
    if (rows === undefined) continue
    orphans.set(id, (orphans.get(id) ?? 0) + rows)
  }
}

// Where policies bind the owner, it would see no row without a tenant: with row_security off that is an error.
async function orphansOf(client: Client, table: TableName, column: string): Promise<number | undefined> {
  const name = quoted(table.schema, table.name)
  const text = `select count(*) as rows from ${name} where ${quoted(column)} is null`
  const counted = client.transaction(async () => {
    await client.query(`set local row_security = off; set local statement_timeout = ${COUNT_MS}`)
    const [row] = await client.query(text)
    return Number(row?.rows)
  })
  return counted.catch(() => undefined)
}

/** Milliseconds for counting in one table; without an index it reads all of it. */
const COUNT_MS = 20_000
