/**
 * Values for random operations on the test world: the tenant's own, other tenants', and odd ones.
 *
 * A foreign value never goes where it would be stored: what a tenant writes into its own rows is its own,
 * whatever it looks like. Foreign values go where they could reach a row: ids, cursors, filters, and keys
 * that refer to another row.
 */

import { type Canary, canary } from './canary.ts'
import type { Place, ValueSource } from './operations.ts'
import type { Random } from './random.ts'
import type { WorldValues } from './world-rows.ts'

/** What is known of one tenant's rows; `ids` and `cursors` grow as answers come in. */
export interface TenantPool {
  readonly canary: Canary
  readonly values: WorldValues
  readonly ids: string[]
  readonly cursors: string[]
}

const POOL_MAX = 400

/** Collect the ids and cursors of an answer into the pool of the tenant that it was given to. */
export function harvest(pool: TenantPool, answer: unknown, name = ''): void {
  if (typeof answer === 'string') {
    if (/(^|_)id$/.test(name)) keep(pool.ids, answer)
    else if (/cursor$/i.test(name)) keep(pool.cursors, answer)
  } else if (typeof answer === 'object' && answer !== null) {
    for (const [key, value] of Object.entries(answer))
      harvest(pool, value, Array.isArray(answer) ? name : key)
  }
}

function keep(list: string[], value: string): void {
  if (list.includes(value)) return
  if (list.length >= POOL_MAX) list.splice(0, POOL_MAX / 4)
  list.push(value)
}

/** A source for operations of `own`, with values of `others` among them. */
export function worldSource(own: TenantPool, others: readonly TenantPool[]): ValueSource {
  return (place, random) => {
    const written = place.operation === 'mutation' && /^(input|patch)$/.test(place.path[1] ?? '')
    if (written) return writtenValue(place, random, own, others)
    const whose = random.chance(0.45) ? own : random.pick(others)
    return soughtValue(place, random, whose)
  }
}

const last = (place: Place): string => place.path.at(-1) ?? ''

/** A value to find a row by. */
function soughtValue(place: Place, random: Random, whose: TenantPool): unknown {
  if (random.chance(0.04)) return oddValue(place, random)
  const { values } = whose
  switch (place.type) {
    case 'ID':
      return random.pick(random.chance(0.9) ? fittingIds(place, whose.ids) : whose.ids)
    case 'String':
      if (last(place) === 'timeZone') return random.pick(['UTC', 'Asia/Kathmandu', 'Middle/Earth'])
      return isPosition(place) ? position(random, whose) : textPiece(random, random.pick(values.texts))
    case 'Int':
      return isPageSize(place) ? pageSize(place, random) : random.pick(values.taskIds)
    case 'BigInt':
      return String(random.pick(random.chance(0.5) ? values.projectIds : values.numbers))
    case 'Decimal':
      return `${random.pick(values.numbers)}.25`
    case 'UUID':
      return random.pick(values.invoiceIds)
    case 'Bytes':
      return hex(random.pick(values.texts).replace(/-\w+-/, '-logo-'))
    default:
      return plainValue(place, random)
  }
}

// An id of another type, a cursor of another list and both sizes at once are refused before any row is
// looked for. That is worth trying, but not often: one refusal takes the whole answer with it.
function fittingIds({ path }: Place, ids: readonly string[]): readonly string[] {
  const [type] = /(Project|Task|Invoice|Label)$/i.exec(path[0] ?? '') ?? []
  const fitting =
    type &&
    ids.filter((id) =>
      String(Buffer.from(id, 'base64url')).toLowerCase().startsWith(`["${type.toLowerCase()}"`),
    )
  return fitting && fitting.length > 0 ? fitting : ids
}

const isPosition = (place: Place): boolean => /^(after|before)$/.test(last(place))

const position = (random: Random, { cursors }: TenantPool): string | undefined =>
  random.chance(0.2) && cursors.length > 0 ? random.pick(cursors) : undefined

const isPageSize = (place: Place): boolean => /^(first|last)$/.test(last(place))

const pageSize = (place: Place, random: Random): number | undefined =>
  random.chance(last(place) === 'last' ? 0.15 : 0.7) ? random.int(6) : undefined

// Mostly the whole text; `contains` and its kin also get a piece that still holds the tag.
function textPiece(random: Random, text: string): string {
  return random.chance(0.8) ? text : text.slice(0, 17 + random.int(text.length - 17))
}

/** A value to store: the tenant's own, but for keys that refer to a row. */
function writtenValue(place: Place, random: Random, own: TenantPool, others: readonly TenantPool[]): unknown {
  const name = last(place)
  const refers = /Id$/.test(name) && name !== 'rowId'
  const whose = refers && random.chance(0.35) ? random.pick(others) : own
  const fresh = 1_000 + random.int(400_000)
  switch (place.type) {
    case 'String':
      return own.canary.text(`new-${random.int(5_000)}`)
    case 'Int':
      return refers ? random.pick(whose.values.taskIds) : fresh
    case 'BigInt':
      return String(refers ? random.pick(whose.values.projectIds) : own.canary.number(fresh))
    case 'Decimal':
      return `${own.canary.number(fresh)}.50`
    case 'UUID':
      return own.canary.uuid(fresh)
    case 'Bytes':
      return hex(own.canary.text(`logo-${fresh}`))
    case 'JSON':
      return { note: own.canary.text(`note-${fresh}`), list: [own.canary.number(fresh), null, true] }
    default:
      return plainValue(place, random)
  }
}

function plainValue(place: Place, random: Random): unknown {
  const day = `2026-0${1 + random.int(9)}-1${random.int(10)}`
  switch (place.type) {
    case 'Boolean':
      return random.chance(0.5)
    case 'Float':
      return random.unit()
    case 'Date':
      return day
    case 'DateTime':
      return `${day} 0${random.int(10)}:30:00.000001+00`
    default:
      return undefined
  }
}

const hex = (text: string): string => `\\x${Buffer.from(text).toString('hex')}`

function oddValue(place: Place, random: Random): unknown {
  switch (place.type) {
    case 'ID':
    case 'String':
      return random.pick([
        '',
        '%',
        '../..',
        `' or 1=1 --`,
        random.text(12),
        Buffer.from(random.text(9)).toString('base64url'),
      ])
    case 'Int':
      return random.pick([-1, 0, 101, 2_147_483_647])
    case 'BigInt':
      return random.pick(['9223372036854775807', '-1', '0'])
    default:
      return plainValue(place, random)
  }
}

/** A tenant that does not exist and never did: its values have the same form as anybody's. */
export const GHOST = canary('a-tenant-that-never-was')

/** The same text with every tag of the `others` made the ghost's, through base64 and hex as well. */
export function ghostly(text: string, others: readonly Canary[]): string {
  const replaced = others.reduce((now, other) => swapTags(now, other, GHOST), text)
  return replaced.replace(/[A-Za-z0-9_-]{20,}/g, (run) => {
    const decoded = Buffer.from(run, 'base64url').toString('latin1')
    const swapped = others.reduce((now, other) => swapTags(now, other, GHOST), decoded)
    return swapped === decoded ? run : Buffer.from(swapped, 'latin1').toString('base64url')
  })
}

function swapTags(text: string, from: Canary, to: Canary): string {
  const keys = ({ tag, number, uuid }: Canary): string[] => [
    tag,
    Buffer.from(tag).toString('hex'),
    String(number(0)).slice(0, 10),
    uuid(0).slice(0, 13),
  ]
  const wanted = keys(to)
  return keys(from).reduce((now, key, i) => now.replaceAll(key, wanted[i]!), text)
}
