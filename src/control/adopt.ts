/**
 * Writing one migration that mends what the check of safety has found, while the tables are read and written:
 *
 *     columns ─▶ indexes ─▶ foreign keys ─▶ keys ─▶ checks of foreign keys ─▶ policies and rights ─▶ left-overs
 *
 * Each step leans on those before it. Each is either a moment, which gives up when it does not get its lock, or
 * takes its time and holds up nobody. Each asks first whether it is still to be done: a run that was stopped is
 * run again, and shards that lack different things take the same file.
 */

import { quoted } from '../model/quote.ts'
import type { ForeignKeyFacts, TableName } from '../model/safety/facts.ts'
import type { Finding, Mend } from '../model/safety.ts'
import { neverEmpty, neverNull, orphanOrders, tenantIndex, tenantIndexNames } from './adopt-columns.ts'
import {
  buildIndex,
  builtIndexes,
  checkForeignKey,
  exchangeKey,
  isTurnedTogether,
  type KeyToWiden,
  turnForeignKey,
} from './adopt-keys.ts'
import { dropHalfBuilt, remark, shortly } from './adopt-text.ts'

export interface Adoption {
  /** The tenant column. */
  readonly column: string
  /** Rows without a tenant by 'schema.name', where they could be counted. */
  readonly orphans?: ReadonlyMap<string, number>
  /** Shards that were examined; told in the file's head. */
  readonly shards?: readonly string[]
}

type Of<K extends Mend['kind']> = Extract<Mend, { kind: K }>

/**
 * A migration in dbmate's format out of findings of any number of shards, in the order in which `checkSafety`
 * gave them. Findings that only a person can mend are written into it as remarks.
 */
export function adoptionSql(findings: readonly Finding[], adoption: Adoption): string {
  const head = remark(...headOf(adoption), ...ordersFor(findings, adoption))
  const stages = stagesOf(findings, adoption.column).filter(({ texts }) => texts.length > 0)
  const body = stages.flatMap(({ title, texts }, i) => [remark(`${i + 1}. ${title}`), ...texts])
  return `${[`-- migrate:up transaction:false\n${head}`, PATIENCE, ...body].join('\n\n')}\n\n${DOWN}`
}

// The moments have a limit of their own.
const PATIENCE = `-- What builds and checks may wait for transactions that began before: it holds up nobody.
set lock_timeout = 0;`

const DOWN = `-- migrate:down
-- Nothing of this is undone by a machine: it would take protection away from tables that are served.
`

/** Whether there is anything that `adoptionSql` would write as a statement. */
export function canMend(findings: readonly Finding[]): boolean {
  return findings.some(({ mend }) => mend !== undefined && mend.kind !== 'with-another')
}

function headOf({ shards = [] }: Adoption): string[] {
  return [
    'Written by "shardgate adopt". Tables may be read and written while it runs.',
    ...(shards.length > 1
      ? [`It holds what any of ${shards.join(', ')} lacks; a shard that has it already passes over it.`]
      : []),
    'If it stops, mend what it names and run it again; or write a new one, which holds what is left.',
    'Statements of other programs that name a key, "on conflict (id)" say, have to name the tenant column too.',
  ]
}

/** What a person has to do, before or beside it. */
function ordersFor(findings: readonly Finding[], adoption: Adoption): string[] {
  const { column, orphans: counts } = adoption
  const stuck = new Set(foreignKeysOf(findings, column).stuck)
  const byHand = findings.filter(({ mend, severity }) =>
    mend ? mend.kind === 'foreign-key' && stuck.has(mend.key) : severity === 'unsafe',
  )
  const lines = [
    ...mendsOf(findings, 'not-null').flatMap(({ table }) =>
      orphanOrders(table, column, counts?.get(`${table.schema}.${table.name}`)),
    ),
    ...new Set(byHand.flatMap(orderLines)),
  ]
  return lines.length === 0 ? [] : ['', 'Not done by this file:', ...lines]
}

function orderLines({ table, reason, sql }: Finding): string[] {
  return [`${table ? `${table}: ` : ''}${reason}`, ...(sql?.split('\n').map((line) => `  ${line}`) ?? [])]
}

interface Stage {
  readonly title: string
  readonly texts: readonly string[]
}

function stagesOf(findings: readonly Finding[], column: string): Stage[] {
  const keys = mendsOf(findings, 'key')
  const foreignKeys = foreignKeysOf(findings, column)
  const widened = new Set(keys.map(({ table }) => idOf(table)))
  const bare = mendsOf(findings, 'tenant-index').filter(({ table }) => !widened.has(idOf(table)))
  const built = [
    ...keys.flatMap((key) => builtIndexes(key, column)),
    ...bare.flatMap(({ table }) => tenantIndexNames(table, column)),
  ]
  return [
    {
      title: 'Every row has a tenant',
      texts: [
        ...mendsOf(findings, 'not-null').flatMap(({ table }) => neverNull(table, column)),
        ...mendsOf(findings, 'not-empty').flatMap(({ table }) => neverEmpty(table, column)),
      ],
    },
    {
      title: 'Indexes that start with the tenant, built beside the old ones',
      texts: [
        ...(built.length > 0 ? [dropHalfBuilt(built)] : []),
        ...keys.flatMap((key) => buildIndex(key, column)),
        ...bare.flatMap(({ table }) => tenantIndex(table, column)),
      ],
    },
    {
      title: 'Foreign keys hold the tenant on both sides, for rows that come',
      texts: foreignKeys.alone.flatMap((key) => turnForeignKey(key, column)),
    },
    { title: 'Keys start with the tenant', texts: keys.map((key) => exchangeKey(key, column)) },
    {
      title: 'Rows that were there are checked against the foreign keys',
      texts: foreignKeys.unchecked.map(checkForeignKey),
    },
    { title: 'Policies and rights', texts: atOnce(findings) },
    { title: 'Indexes that were built and not needed after all', texts: leftOver(keys, column) },
  ]
}

interface ForeignKeys {
  /** To be turned one by one, before the key that they lean on is exchanged. */
  readonly alone: readonly ForeignKeyFacts[]
  /** NOT VALID after everything has been turned. */
  readonly unchecked: readonly ForeignKeyFacts[]
  /** The other table has no key with the tenant and gets none: it lies outside of what is examined. */
  readonly stuck: readonly ForeignKeyFacts[]
}

function foreignKeysOf(findings: readonly Finding[], column: string): ForeignKeys {
  const keys = new Map(
    mendsOf(findings, 'key').map((key) => [JSON.stringify([idOf(key.table), key.index.name]), key]),
  )
  const leansOn = (key: ForeignKeyFacts): KeyToWiden | undefined =>
    keys.get(JSON.stringify([idOf({ schema: key.otherSchema, name: key.otherTable }), key.index]))
  const together = [...keys.values()]
    .filter((key) => isTurnedTogether(key, column))
    .flatMap(({ table, index }) =>
      table.incoming.filter((key) => key.ownIsTenant && key.index === index.name),
    )
  const found = mendsOf(findings, 'foreign-key').map(({ key }) => key)
  const stuck = found.filter((key) => !key.columns.includes(column) && !leansOn(key))
  const alone = found.filter((key) => {
    const other = leansOn(key)
    return !stuck.includes(key) && !(other && isTurnedTogether(other, column))
  })
  const unchecked = [...alone, ...together, ...mendsOf(findings, 'validate').map(({ key }) => key)]
  return { alone, stuck, unchecked: unchecked.filter(({ leaves }) => leaves.length === 0) }
}

/** Mends of one kind, once for each thing, whatever the number of shards that lack it. */
function mendsOf<K extends Mend['kind']>(findings: readonly Finding[], kind: K): Of<K>[] {
  const found = new Map<string, Of<K>>()
  for (const { mend } of findings) {
    if (mend?.kind === kind && !found.has(keyOf(mend))) found.set(keyOf(mend), mend as Of<K>)
  }
  return [...found.values()]
}

function keyOf(mend: Mend): string {
  if (mend.kind === 'at-once' || mend.kind === 'with-another') return ''
  const part = 'index' in mend ? mend.index.name : 'key' in mend ? mend.key.name : ''
  return JSON.stringify([mend.table.schema, mend.table.name, part])
}

const idOf = ({ schema, name }: TableName): string => JSON.stringify([schema, name])

/** The findings whose SQL is a moment, a table at a time: its policies come into force together. */
function atOnce(findings: readonly Finding[]): string[] {
  const places = new Map<string, { statements: Set<string>; tables: TableName[] }>()
  for (const { table: id = '', sql, mend } of findings) {
    if (mend?.kind !== 'at-once' || sql === undefined) continue
    const place = places.get(id) ?? { statements: new Set(), tables: mend.table ? [mend.table] : [] }
    places.set(id, place)
    place.statements.add(sql)
  }
  // Neither policies nor rights reach down to the parts of a table.
  return [...places.values()].map(({ statements, tables }) =>
    shortly([...statements], { tables, breadth: 1, only: true }),
  )
}

// A run again, or a shard whose key was right already, has built an index that nothing takes over.
function leftOver(keys: readonly KeyToWiden[], column: string): string[] {
  return keys
    .filter(({ table }) => table.kind !== 'p')
    .flatMap((key) => builtIndexes(key, column))
    .map(({ schema, name }) => `drop index concurrently if exists ${quoted(schema, name)};`)
}
