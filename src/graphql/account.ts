/** What a tenant may know of its own account: how much it has used, and how much it may. */

import type { LimitName, Limits } from '../base/config-limits.ts'
import { fail } from '../base/errors.ts'
import { monthsOf, type Span, spanOf } from '../directory/usage-periods.ts'
import type { Figures } from '../directory/usage-reports.ts'
import type { Builder } from './builder.ts'

/** @throws BAD_USER_INPUT  `month` is none */
export function monthSpan(month: string | null | undefined, now: number): Span {
  if (month === null || month === undefined) return monthsOf({ from: now, to: now + 1 })
  const span = /^\d{4}-\d\d$/.test(month) ? spanOf(month) : undefined
  return span ?? fail('BAD_USER_INPUT', 'Wanted a month, as "2026-10".', { argument: 'month' })
}

const COUNTS: Readonly<Partial<Record<keyof Figures, string>>> = {
  requests: 'Requests that came with a token of the tenant, refused ones included.',
  operations: 'Operations that ran.',
  errors: 'Requests whose answer held an error.',
  rows: 'Rows that the shard gave.',
  bytesIn: 'Of the bodies of requests.',
  bytesOut: 'Of the bodies of answers.',
  cacheHits: 'Operations that were answered from the cache.',
  activeUsers: 'Different subjects of tokens; an estimate from 1,024 on.',
  storageBytes: 'The most that was measured in the month; 0 where nothing was.',
}

export function usageType(builder: Builder) {
  return builder.objectRef<Figures>('TenantUsage').implement({
    description: 'What the tenant has used in a month, some seconds late.',
    fields: (t) => ({
      ...Object.fromEntries(
        Object.entries(COUNTS).map(([name, description]) => [
          name,
          t.field({
            type: 'BigInt',
            nullable: false,
            description,
            resolve: (used) => String(used[name as keyof Figures]),
          }),
        ]),
      ),
      cost: t.float({
        nullable: false,
        description: 'Of the operations that ran, as their limits count it.',
        resolve: ({ cost }) => cost,
      }),
      databaseMs: t.float({
        nullable: false,
        description: 'Milliseconds that the shard worked for the tenant.',
        resolve: ({ databaseMs }) => databaseMs,
      }),
    }),
  })
}

const RATES: Readonly<Partial<Record<LimitName, string>>> = {
  requestsPerMinute: 'Requests in any 60 seconds.',
  costPerMinute: 'Cost of operations in any 60 seconds.',
  requestsPerMonth: 'Requests in a month of the calendar, in UTC.',
  costPerMonth: 'Cost of operations in a month of the calendar, in UTC.',
}

const SIZES: Readonly<Partial<Record<LimitName, string>>> = {
  concurrency: 'Requests that one gateway works on at once.',
  depth: 'Nesting of fields.',
  aliases: 'Aliases in one operation.',
  rootFields: 'Fields at the top of one operation.',
  documentTokens: 'Lexical tokens of a document.',
  pageSize: 'Largest "first" or "last".',
  rows: 'Rows in one answer.',
  answerBytes: 'Bytes of the values in one answer.',
  statementMs: 'Milliseconds for one statement.',
}

export function limitsType(builder: Builder) {
  return builder.objectRef<Limits>('TenantLimits').implement({
    description: 'What the tenant may ask for. Null where only the limits of the whole gateway hold.',
    fields: (t) =>
      Object.fromEntries([
        ...(Object.entries(RATES) as [LimitName, string][]).map(([name, description]) => {
          const resolve = (limits: Limits): string | null => limits[name]?.toString() ?? null
          return [name, t.field({ type: 'BigInt', description, resolve })]
        }),
        ...(Object.entries(SIZES) as [LimitName, string][]).map(([name, description]) => {
          return [name, t.int({ description, resolve: (limits) => limits[name] ?? null })]
        }),
      ]),
  })
}
