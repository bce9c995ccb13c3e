/**
 * A value of any type that carries its tenant's tag wherever the type has room for one, as SQL.
 *
 * The same tenant, place and number give the same value, so a row can be pointed to before it is there.
 */

import type { Introspection, PgType } from 'pg-introspection'
import type { Canary } from '../canary.ts'

/** Whose row, and which of them. */
export interface Seat {
  readonly canary: Canary
  /** From 1; tells numbers of four bytes apart, which have no room for a tag. */
  readonly tenantNo: number
  /** From 1. */
  readonly n: number
  /** Tells the columns of a database apart; below 50,000. */
  readonly place: number
  /** 'items-name', for texts. */
  readonly label: string
}

/** By 'schema.type' of a domain or by 'schema.table.column': values that a check asks for. */
export type Overrides = Readonly<Record<string, (seat: Seat) => string>>

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

const day = ({ n, tenantNo }: Seat): string =>
  `${2024 + tenantNo}-${String(1 + (n % 12)).padStart(2, '0')}-${String(1 + (n % 28)).padStart(2, '0')}`
const number = ({ canary, place, n }: Seat): number => canary.number(((place * 97) % 9_000) * 100 + (n % 100))
const small = ({ tenantNo, n }: Seat): number => tenantNo * 100_000 + n

/** The tag's length and two characters, which tell up to 99 rows apart. */
const TAGGED = 19

/** @param length  in characters, where the type has one; below 19 there is no room for a tag */
export function textValue({ canary, label, tenantNo, n }: Seat, length = 200): string {
  if (length < TAGGED) return literal(`${tenantNo}x${n}x${label}`.slice(0, length))
  return literal(canary.text(`${n}-${label}`).slice(0, length))
}

const json = (seat: Seat): string =>
  literal(
    JSON.stringify({ note: seat.canary.text(`${seat.n}-note`), list: [number(seat), null, { deep: true }] }),
  )

const PLAIN: Readonly<Record<string, (seat: Seat) => string>> = {
  bool: ({ n }) => String(n % 2 === 0),
  int2: ({ n }) => String(n),
  int4: (seat) => String(small(seat)),
  int8: (seat) => String(number(seat)),
  float4: ({ n }) => `${n}.5`,
  float8: (seat) => String(number(seat)),
  uuid: ({ canary, place, n }) => literal(canary.uuid(place * 100_000 + n)),
  text: (seat) => textValue(seat),
  citext: (seat) => textValue(seat),
  name: (seat) => textValue(seat, 63),
  date: (seat) => literal(day(seat)),
  time: ({ n }) => literal(`0${n % 10}:30:00.000001`),
  timetz: ({ n }) => literal(`0${n % 10}:30:00+02`),
  timestamp: (seat) => literal(`${day(seat)} 10:00:00.${String(seat.n).padStart(6, '0')}`),
  timestamptz: (seat) => literal(`${day(seat)} 10:00:00.${String(seat.n).padStart(6, '0')}+00`),
  interval: ({ n }) => literal(`${n} days 01:00:00`),
  json,
  jsonb: json,
  bytea: (seat) => literal(`\\x${Buffer.from(seat.canary.text(`${seat.n}-bytes`)).toString('hex')}`),
  inet: ({ tenantNo, n }) => literal(`10.${tenantNo}.${n}.1`),
  tsvector: (seat) => literal(`'${seat.canary.tag}':${seat.n}`),
  point: ({ n }) => literal(`(${n},${n})`),
  hstore: (seat) => literal(`tag=>${seat.canary.tag}`),
  ltree: (seat) => literal(`top.${seat.canary.tag}`),
}

const RANGES: Readonly<Record<string, (seat: Seat) => string>> = {
  int4: (seat) => `[${small(seat)},${small(seat) + 5})`,
  int8: (seat) => `[${number(seat)},${number(seat) + 5})`,
  numeric: (seat) => `[${number(seat)}.5,${number(seat) + 5})`,
  float8: ({ n }) => `[${n},${n + 0.5}]`,
  date: (seat) => `[${day(seat)},2099-06-01)`,
  timestamp: (seat) => `["${day(seat)} 08:00","${day(seat)} 09:00")`,
  timestamptz: (seat) => `["${day(seat)} 08:00+00","${day(seat)} 09:00+00")`,
}

/**
 * SQL of a value of `type`; 'null' for a type that is not known here.
 *
 * @param modifier  of the column: the length of a text, the digits of a number
 */
export function sqlValue(
  catalog: Introspection,
  type: PgType,
  modifier: number | null,
  seat: Seat,
  overrides: Overrides,
): string {
  const name = `${type.getNamespace()?.nspname}.${type.typname}`
  const override = overrides[name]
  if (override) return override(seat)
  const inner = (other: PgType | undefined, size: number | null = null): string =>
    other ? sqlValue(catalog, other, size, seat, overrides) : 'null'
  if (type.typtype === 'd') return inner(catalog.getType({ id: type.typbasetype ?? '' }), type.typtypmod)
  if (type.typtype === 'e') return literal(labelOf(type, seat))
  if (type.typtype === 'c') return composite(type, inner)
  const element = type.getElemType()
  if (element && element.typarray === type._id) return `array[${inner(element, modifier)}]::${sqlName(type)}`
  if (type.typtype === 'r') return rangeOf(catalog, type, seat)
  return plainValue(type, modifier, seat)
}

function labelOf(type: PgType, { n }: Seat): string {
  const labels = type.getEnumValues() ?? []
  return labels[n % labels.length]?.enumlabel ?? ''
}

function composite(type: PgType, inner: (type: PgType | undefined, size: number | null) => string): string {
  const attributes =
    type
      .getClass()
      ?.getAttributes()
      .filter(({ attisdropped, attnum }) => !attisdropped && attnum > 0) ?? []
  const fields = attributes.map((attribute) => inner(attribute.getType(), attribute.atttypmod))
  return fields.length === 0 ? 'null' : `row(${fields.join(', ')})::${sqlName(type)}`
}

function rangeOf(catalog: Introspection, type: PgType, seat: Seat): string {
  const subtype = catalog.getType({ id: type.getRange()?.rngsubtype ?? '' })?.typname ?? ''
  return RANGES[subtype] ? literal(RANGES[subtype](seat)) : 'null'
}

function plainValue(type: PgType, modifier: number | null, seat: Seat): string {
  const size = modifier !== null && modifier > 4 ? modifier - 4 : undefined
  if (type.typname === 'varchar' || type.typname === 'bpchar') return textValue(seat, size)
  if (type.typname === 'numeric') return numeric(size, seat)
  return PLAIN[type.typname]?.(seat) ?? 'null'
}

// The modifier holds all digits in its upper half and those behind the point in its lower.
function numeric(size: number | undefined, seat: Seat): string {
  const whole = size === undefined ? Infinity : (size >> 16) - (size & 0xffff)
  if (whole >= 16) return `${number(seat)}.25`
  return whole >= 8 ? `${small(seat)}.25` : `${seat.n}.25`
}

function sqlName(type: PgType): string {
  const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
  return `${quote(type.getNamespace()?.nspname ?? '')}.${quote(type.typname)}`
}
