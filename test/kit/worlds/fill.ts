/**
 * Rows for the tables of any schema, read from the catalogs: every tenant gets the same number in each
 * table, every value with room for it carries the tenant's tag, and foreign keys point at rows of the same
 * tenant.
 *
 * Foreign keys are right by construction, so all triggers are off while the rows go in and circles need no
 * care. Parents still go first, because a check may look them up. Sequences are left where they are: what is
 * drawn from them later is small, and no tenant's number.
 */

import {
  type Introspection,
  makeIntrospectionQuery,
  type PgAttribute,
  type PgClass,
  type PgConstraint,
  parseIntrospectionResults,
} from 'pg-introspection'
import type { Client } from '../../../src/db/client.ts'
import type { Canary } from '../canary.ts'
import { literal, type Overrides, type Seat, sqlValue } from './fill-values.ts'

export interface Filling {
  readonly tenantColumn: string
  readonly schemas: readonly string[]
  /** In the order of their numbers. */
  readonly tenants: readonly Canary[]
  /** Rows of each tenant in each table; at least 2. */
  readonly rows: number
  /** Of single tables, by id, where not so many fit. */
  readonly rowsOf?: Readonly<Record<string, number>>
  /** Ids of tables that get their rows from somewhere else. */
  readonly skip?: readonly string[]
  readonly overrides?: Overrides
}

/** Fill every table that has the tenant column. @param client  a superuser */
export async function fill(client: Client, filling: Filling): Promise<void> {
  const [row] = await client.query(makeIntrospectionQuery())
  const filler = new Filler(parseIntrospectionResults(row?.introspection ?? ''), filling)
  await client.transaction(async () => {
    await client.query('set local session_replication_role = replica')
    for (const table of filler.tables()) {
      const statement = filler.insertInto(table)
      await client.query(statement).catch((cause: Error) => {
        throw new Error(
          `${filler.idOf(table)} cannot be filled: ${cause.message}\n${statement.slice(0, 2_000)}`,
        )
      })
    }
  })
}

interface ForeignKey {
  readonly target: PgClass
  readonly own: readonly PgAttribute[]
  readonly other: readonly PgAttribute[]
  /** Position among the table's foreign keys: each leads to another of the parent's rows. */
  readonly shift: number
}

class Filler {
  readonly #catalog: Introspection
  readonly #filling: Filling

  constructor(catalog: Introspection, filling: Filling) {
    this.#catalog = catalog
    this.#filling = filling
  }

  /** Parents before their children, as far as there is no circle. */
  tables(): PgClass[] {
    const sorted = new Set<PgClass>()
    const visit = (table: PgClass, below: readonly PgClass[]): void => {
      if (sorted.has(table) || below.includes(table)) return
      for (const { target } of this.#keysOf(table)) visit(target, [...below, table])
      sorted.add(table)
    }
    const found = this.#found()
    for (const table of found) visit(table, [])
    return [...sorted].filter((table) => found.includes(table))
  }

  #found(): PgClass[] {
    const { schemas, skip = [] } = this.#filling
    return this.#catalog.classes.filter(
      (found) =>
        'rp'.includes(found.relkind) &&
        !found.relispartition &&
        schemas.includes(found.getNamespace()?.nspname ?? '') &&
        !skip.includes(this.idOf(found)) &&
        this.#isOwned(found),
    )
  }

  idOf(table: PgClass): string {
    return `${table.getNamespace()?.nspname}.${table.relname}`
  }

  insertInto(table: PgClass): string {
    const columns = this.#columnsOf(table).filter((column) => this.#isWritten(table, column))
    const { tenants } = this.#filling
    const rows = this.#rowsOf(table)
    const values = tenants.flatMap((canary, i) =>
      Array.from({ length: rows }, (_, k) => {
        const row = columns.map((column) => this.#value(table, column, canary, i + 1, k + 1))
        return `(${row.join(', ')})`
      }),
    )
    const names = columns.map(({ attname }) => quote(attname)).join(', ')
    return `insert into ${nameOf(table)} (${names}) overriding system value values\n${values.join(',\n')}`
  }

  #rowsOf(table: PgClass): number {
    return this.#filling.rowsOf?.[this.idOf(table)] ?? this.#filling.rows
  }

  #isOwned(table: PgClass): boolean {
    return this.#columnsOf(table).some(({ attname }) => attname === this.#filling.tenantColumn)
  }

  #columnsOf(table: PgClass): PgAttribute[] {
    return table.getAttributes().filter(({ attisdropped, attnum }) => !attisdropped && attnum > 0)
  }

  // Identities and serials count for themselves where nothing refers to them.
  #isWritten(table: PgClass, column: PgAttribute): boolean {
    if (column.attgenerated) return false
    return this.#isKey(table, column) || !(column.attidentity || this.#drawsNumber(table, column))
  }

  #drawsNumber(table: PgClass, { attnum }: PgAttribute): boolean {
    return this.#catalog.depends.some(
      ({ deptype, objid, refobjid, refobjsubid }) =>
        deptype === 'a' &&
        refobjid === table._id &&
        refobjsubid === attnum &&
        this.#catalog.getClass({ id: objid })?.relkind === 'S',
    )
  }

  #isKey(table: PgClass, column: PgAttribute): boolean {
    return table.getIndexes().some((index) => index.indisunique && index.getKeys().includes(column))
  }

  #value(table: PgClass, column: PgAttribute, canary: Canary, tenantNo: number, n: number): string {
    const { tenantColumn, overrides = {} } = this.#filling
    if (column.attname === tenantColumn) return literal(canary.tenant)
    const override = overrides[`${this.idOf(table)}.${column.attname}`]
    const key = override ? undefined : this.#keysOf(table).find(({ own }) => own.includes(column))
    const optional = !column.attnotnull && !this.#isKey(table, column)
    if (optional && !override && n === (key ? 1 : this.#rowsOf(table)) && column.getType()?.typtype !== 'd')
      return 'null'
    if (key) return this.#referred(key, column, canary, tenantNo, n)
    const seat: Seat = {
      canary,
      tenantNo,
      n,
      place: (Number(table._id) * 31 + column.attnum) % 50_000,
      label: `${table.relname}-${column.attname}`.replace(/\W+/g, '_'),
    }
    if (override) return override(seat)
    return sqlValue(this.#catalog, column.getType()!, column.atttypmod ?? null, seat, overrides)
  }

  #keysOf(table: PgClass): ForeignKey[] {
    return table
      .getConstraints()
      .filter(({ contype }) => contype === 'f')
      .map((constraint) => keyOf(constraint))
      .filter(({ own }) => own.some(({ attname }) => attname !== this.#filling.tenantColumn))
      .map((key, shift) => ({ ...key, shift }))
  }

  #referred(key: ForeignKey, column: PgAttribute, canary: Canary, tenantNo: number, n: number): string {
    const other = key.other[key.own.indexOf(column)]!
    if (!this.#isOwned(key.target)) {
      return `(select ${quote(other.attname)} from ${nameOf(key.target)} order by 1 offset ${n % 2} limit 1)`
    }
    const shifted = ((n - 1 + key.shift) % this.#rowsOf(key.target)) + 1
    return this.#value(key.target, other, canary, tenantNo, shifted)
  }
}

function keyOf(constraint: PgConstraint): Omit<ForeignKey, 'shift'> {
  return {
    target: constraint.getForeignClass()!,
    own: constraint.getAttributes() ?? [],
    other: constraint.getForeignAttributes() ?? [],
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const nameOf = (table: PgClass): string =>
  `${quote(table.getNamespace()?.nspname ?? '')}.${quote(table.relname)}`
