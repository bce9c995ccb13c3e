/**
 * Values for random operations on any schema that Shardgate builds, of whatever tables.
 *
 * What a tenant has is read through the API itself: one page of every list, each value remembered by its
 * scalar and by its field. A value that is wanted is then mostly one that the asking tenant or another one
 * has under that name; the rest is at the edges of what the scalar takes, or beyond.
 */

import {
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
} from 'graphql'
import type { Canary } from './canary.ts'
import type { Place, ValueSource } from './operations.ts'
import type { Random } from './random.ts'
import { EDGE_VALUES } from './worlds/edge-values.ts'

/** What is known of one tenant's rows. */
export interface ValuePool {
  readonly canary: Canary
  readonly ids: string[]
  readonly cursors: string[]
  /** Values by scalar and, after a dot, by field: 'UUID', 'UUID.authorId'. */
  readonly values: Map<string, unknown[]>
}

/** Run an operation as the pool's tenant and give its data. */
export type Ask = (query: string) => Promise<Record<string, unknown> | null>

/** Lists in one operation. */
const LISTS = 20
/** Values remembered under one name. */
const REMEMBERED = 40

/** Read one page of every list of the schema. */
export async function readPool(schema: GraphQLSchema, canary: Canary, ask: Ask): Promise<ValuePool> {
  const pool: ValuePool = { canary, ids: [], cursors: [], values: new Map() }
  const lists = listFields(schema)
  for (let from = 0; from < lists.length; from += LISTS) {
    const some = lists.slice(from, from + LISTS)
    const parts = some.map(
      ({ name, row }) =>
        `${name}(first: 6) { nodes { ${leaves(row)
          .map((leaf) => leaf.name)
          .join(' ')} } edges { cursor } }`,
    )
    const data = await ask(`{ ${parts.join(' ')} }`)
    for (const { name, row } of some) remember(pool, row, data?.[name] as Page | undefined)
  }
  return pool
}

interface Page {
  readonly nodes: readonly Record<string, unknown>[]
  readonly edges: readonly { readonly cursor: string }[]
}

/** Root fields that are lists of rows, with the type of the row. */
export function listFields(schema: GraphQLSchema): { name: string; row: GraphQLObjectType }[] {
  const fields = Object.values(schema.getQueryType()?.getFields() ?? {})
  return fields.flatMap(({ name, type }) => {
    const connection = getNamedType(type)
    const nodes = isObjectType(connection) ? connection.getFields().nodes : undefined
    const row = nodes && getNamedType(nodes.type)
    return isObjectType(row) ? [{ name, row }] : []
  })
}

const leaves = (type: GraphQLObjectType): GraphQLField<unknown, unknown>[] =>
  Object.values(type.getFields()).filter(
    (field) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument),
  )

function remember(pool: ValuePool, row: GraphQLObjectType, page: Page | undefined): void {
  for (const { cursor } of page?.edges ?? []) pool.cursors.push(cursor)
  for (const node of page?.nodes ?? []) {
    for (const { name, type } of leaves(row)) {
      const scalar = getNamedType(type).name
      const values = [node[name]].flat().filter((value) => value !== null && value !== undefined)
      if (scalar === 'ID') pool.ids.push(...values.map(String))
      for (const key of [scalar, `${scalar}.${name}`]) keep(pool.values, key, values)
    }
  }
}

function keep(map: Map<string, unknown[]>, key: string, values: readonly unknown[]): void {
  const list = map.get(key) ?? []
  map.set(key, list)
  if (list.length < REMEMBERED) list.push(...values)
}

/**
 * A source for operations of `own`, with values of `others` among them.
 *
 * @param refers  whether a field of an input type refers to another row; a foreign value that is merely
 *                stored is the tenant's own from then on, and no leak
 */
export function schemaSource(
  own: ValuePool,
  others: readonly ValuePool[],
  refers: (place: Place) => boolean,
): ValueSource {
  return (place, random) => {
    const bounds = boundOf(place, random)
    if (bounds !== undefined) return bounds.value
    const stored = place.operation === 'mutation' && !sought(place)
    const foreign = others.length > 0 && (!stored || refers(place)) && random.chance(stored ? 0.2 : 0.5)
    return valueFor(place, random, foreign ? random.pick(others) : own)
  }
}

const last = (place: Place): string => place.path.at(-1) ?? ''

// What a mutation is told by an id, by a filter or by a key is looked for; everything else is stored.
const sought = ({ path }: Place): boolean => ['id', 'ids', 'filter', 'by'].includes(path[1] ?? '')

const TIME_ZONES = ['UTC', 'Europe/Berlin', 'Asia/Kathmandu'] as const

/** Sizes and positions, which are about the list and not about its rows. */
function boundOf(place: Place, random: Random): { value: unknown } | undefined {
  if (place.input !== undefined) return undefined
  if (last(place) === 'timeZone' && random.chance(0.95)) return { value: random.pick(TIME_ZONES) }
  if (place.type !== 'Int') return undefined
  switch (last(place)) {
    case 'first':
      return { value: random.chance(0.97) ? random.int(8) : random.pick([0, -1, 100, 101, 2_147_483_647]) }
    case 'last':
      return { value: random.chance(0.15) ? random.int(6) : undefined }
    case 'offset':
      return { value: random.chance(0.97) ? random.int(5) : random.pick([-1, 10_000, 2_147_483_647]) }
    case 'atMost':
      return { value: random.chance(0.95) ? 1 + random.int(4) : random.pick([0, -1, 100_000]) }
    default:
      return undefined
  }
}

function valueFor(place: Place, random: Random, whose: ValuePool): unknown {
  const name = last(place)
  if (place.type === 'ID') return random.pick(orElse(fittingIds(place, whose.ids), ['an id']))
  if (/^(after|before)$/.test(name) && place.input === undefined) {
    return random.chance(0.1) ? random.pick(orElse(whose.cursors, ['a cursor'])) : undefined
  }
  if (random.chance(0.05)) return edgeValue(place.type, random)
  const column = place.path.findLast((step) => whose.values.has(`${place.type}.${step}`))
  const known = whose.values.get(column ? `${place.type}.${column}` : place.type)
  if (!known || known.length === 0) return edgeValue(place.type, random)
  const value = random.pick(known)
  return typeof value === 'string' && place.type === 'String' && random.chance(0.2)
    ? value.slice(0, 17 + random.int(10))
    : value
}

// An id of another type is refused before any row is looked for: worth trying, but not often.
function fittingIds({ path }: Place, ids: readonly string[]): readonly string[] {
  const root = (path[0] ?? '').toLowerCase().replace(/^(update|delete)|by$/g, '')
  const fitting = ids.filter((id) => {
    const [, type = ''] = /^\["(\w+)"/.exec(String(Buffer.from(id, 'base64url'))) ?? []
    return type.toLowerCase() === root
  })
  return fitting.length > 0 ? fitting : ids
}

const orElse = <T>(list: readonly T[], other: readonly T[]): readonly T[] => (list.length > 0 ? list : other)

const EDGES: Readonly<Record<string, readonly unknown[]>> = {
  Boolean: [true, false],
  Int: [0, -1, 1, 2_147_483_647, -2_147_483_648],
  Float: [0, -0.5, 1e308, -1e308, 5e-324, 1e20],
  String: [...EDGE_VALUES.text!.filter((text) => text.length < 1_000), '%', '_%', '\\', 'a\0b', '2026-01-01'],
  BigInt: [...EDGE_VALUES.int8!, 0, 12, '9223372036854775808', '01'],
  Decimal: [...EDGE_VALUES.numeric!, 0.1, '1e999', '1e-999'],
  UUID: [...EDGE_VALUES.uuid!, 'AAAAAAAA-aaaa-4aaa-8aaa-aaaaaaaaaaaa', 'no uuid'],
  Date: [...EDGE_VALUES.date!, '2026-02-30', '0000-01-01', '2026-01-01'],
  Time: [...EDGE_VALUES.time!, ...EDGE_VALUES.timetz!, '25:00:00', '12:00'],
  DateTime: [
    ...EDGE_VALUES.timestamptz!,
    '2026-02-30T25:00:00Z',
    '2026-01-01',
    '2026-01-01T00:00:00.1234567Z',
  ],
  Interval: [...EDGE_VALUES.interval!, 'P1DT2H', 'a while'],
  JSON: [null, 0, '', 'text', [], {}, { a: [1, { b: null }] }, 1e300, '\0', { '\0': 1 }],
  Bytes: [...EDGE_VALUES.bytea!, '\\xzz'],
}

const ALL_TEXTS = Object.values(EDGE_VALUES)
  .flat()
  .filter((text) => text.length < 1_000)

/** For a scalar that is not known here: the text of any type, which is right now and then. */
const edgeValue = (scalar: string, random: Random): unknown => random.pick(EDGES[scalar] ?? ALL_TEXTS)
