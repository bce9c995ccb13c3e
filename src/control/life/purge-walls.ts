/** What keeps a purge from beginning, because it could not end, or would reach into other tenants. */

import { fail } from '../../base/errors.ts'
import { quoted } from '../../model/quote.ts'
import { idOf, type TenantTable } from './tables.ts'

/**
 * Require that rows can be deleted from each served table, and that deleting one tenant's rows touches nobody else's.
 *
 * Foreign keys look past policies: with a key that leaves out the tenant column, and deletes what hangs on a row, a row
 * of another tenant that hangs on one of this tenant goes with it.
 *
 * @throws TABLE_UNSAFE  with what to type
 */
export function requireDeletable(tables: readonly TenantTable[]): void {
  const closed = tables.filter(({ served, deletable }) => served && !deletable)
  if (closed.length > 0) {
    const lines = closed.map(
      ({ schema, name }) => `grant delete on ${quoted(schema, name)} to shardgate_owner;`,
    )
    fail(
      'TABLE_UNSAFE',
      ['Rows may not be deleted. The owner of the tables has to run this:', ...lines].join('\n  '),
    )
  }
  const known = new Map(tables.map((table) => [table.oid, table]))
  const reaching = tables
    .filter(({ served }) => served)
    .flatMap((table) => {
      const keys = table.hanging.filter(({ child, columns, keys, action }) => {
        const other = known.get(child)
        const pairs = columns.some((column, i) => column === other?.column && keys[i] === table.column)
        return 'cnd'.includes(action) && !pairs
      })
      return keys.map(({ name, child }) => `${name} of ${idOf(known.get(child) ?? table)}`)
    })
  if (reaching.length === 0) return
  fail(
    'TABLE_UNSAFE',
    `Foreign keys without the tenant column could take rows of other tenants along: ${reaching.join(', ')}.`,
    {},
    { hint: 'Nothing was deleted. "shardgate doctor" prints the SQL that mends them.' },
  )
}
