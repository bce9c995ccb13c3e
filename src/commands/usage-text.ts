/** What `shardgate usage` prints for people, and its CSV. */

import { sizeText } from '../control/advise.ts'
import type { MeasuredShard } from '../control/usage/storage.ts'
import { MEASURES } from '../directory/usage.ts'
import type { Span } from '../directory/usage-periods.ts'
import type {
  ExportedUsage,
  Figures,
  RankedTenant,
  StoredTable,
  TenantUsage,
} from '../directory/usage-reports.ts'
import { millisecondsText, timeText } from './move-text.ts'
import { table } from './print.ts'

/** '9,240', '12.3 k', '4.5 M', '1.2 G' */
export function numberText(value: number): string {
  const [unit, name] = value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : [1e3, 'k']
  return value < 10_000
    ? Math.round(value).toLocaleString('en')
    : `${(value / unit).toFixed(1).replace(/\.0$/, '')} ${name}`
}

const COLUMNS: readonly (readonly [title: string, cell: (used: Figures) => string])[] = [
  ['requests', ({ requests }) => numberText(requests)],
  ['ops', ({ operations }) => numberText(operations)],
  ['errors', ({ errors }) => numberText(errors)],
  ['cost', ({ cost }) => numberText(cost)],
  ['database', ({ databaseMs }) => millisecondsText(databaseMs)],
  ['rows', ({ rows }) => numberText(rows)],
  ['in', ({ bytesIn }) => sizeText(bytesIn)],
  ['out', ({ bytesOut }) => sizeText(bytesOut)],
  ['hits', ({ cacheHits }) => numberText(cacheHits)],
  ['users', ({ activeUsers }) => numberText(activeUsers)],
]

const figures = COLUMNS.map(([title, cell]) => ({ title, cell, isAmount: true as const }))

export interface ShownUsage extends TenantUsage {
  readonly storage: readonly StoredTable[]
}

/** Tables in the text; JSON has all of them. */
const TABLES = 10

export function usageText({ storage, ...used }: ShownUsage, colour: boolean): string {
  const { tenant, by, from, to, periods, total, onlyByMonth } = used
  const head = `${tenant}, ${minuteText(from)} to ${minuteText(to)}, by ${by}, in UTC\n`
  const lines = [...periods, { period: 'total', ...total }]
  const body =
    periods.length === 0
      ? 'It has used nothing.\n'
      : table(lines, [{ title: by, cell: ({ period }) => period }, ...figures], colour)
  const months = onlyByMonth.join(', ')
  const left = `Left out, as it is known by month alone: ${months} (usage show ${tenant} --by month)\n`
  const parts = [head + body, ...(months === '' ? [] : [left]), ...storageText(storage, colour)]
  return parts.join('\n')
}

function storageText(storage: readonly StoredTable[], colour: boolean): string[] {
  if (storage.length === 0) return []
  const bytes = storage.reduce((sum, stored) => sum + stored.bytes, 0)
  const [{ isolation, measuredAt }] = storage as [StoredTable]
  const head = `It holds ${sizeText(bytes)} (${isolation}), measured ${timeText(measuredAt)}:\n`
  const lines = table(
    storage.slice(0, TABLES),
    [
      { title: 'table', cell: (stored) => stored.table },
      { title: 'rows', cell: ({ rows }) => numberText(rows), isAmount: true },
      { title: 'size', cell: (stored) => sizeText(stored.bytes), isAmount: true },
    ],
    colour,
  )
  return [head + lines]
}

const minuteText = (iso: string): string => iso.slice(0, 16).replace('T', ' ')

export function topText(found: readonly RankedTenant[], { from, to }: Span, colour: boolean): string {
  const [first, last] = [from, to].map((ms) => minuteText(new Date(ms).toISOString()))
  const head = `${first} to ${last}, in UTC\n`
  if (found.length === 0) return `${head}Nobody has used anything.\n`
  const lines = table(
    found,
    [
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'plan', cell: ({ plan }) => plan },
      ...figures,
      { title: 'storage', cell: ({ storageBytes }) => sizeText(storageBytes), isAmount: true },
    ],
    colour,
  )
  return head + lines
}

export function measuredText(shards: readonly MeasuredShard[], colour: boolean): string {
  if (shards.length === 0) return 'There are no tenants.\n'
  return table(
    shards,
    [
      { title: 'shard', cell: ({ shard }) => shard },
      { title: 'tenants', cell: ({ tenants }) => tenants },
      { title: 'size', cell: ({ bytes }) => sizeText(bytes), isAmount: true },
      { title: '', cell: ({ error }) => error ?? '' },
    ],
    colour,
  )
}

const CSV = {
  tenant: 'tenant',
  plan: 'plan',
  period: 'period',
  ...MEASURES,
  activeUsers: 'active_users',
  storageBytes: 'storage_bytes',
} as const satisfies Record<keyof ExportedUsage, string>

export const CSV_HEAD = `${Object.values(CSV).join(',')}\n`

/** A line of CSV (RFC 4180, but with line feeds alone). */
export function csvLine(used: ExportedUsage): string {
  const fields = (Object.keys(CSV) as (keyof typeof CSV)[]).map((key) => csvField(used[key]))
  return `${fields.join(',')}\n`
}

// A spreadsheet takes text that begins with one of these for a formula; names of plans are whatever somebody typed.
function csvField(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
