/** Spans of time as people write them: a month, a day or an hour, all in UTC. */

export const GRAINS = ['hour', 'day', 'month'] as const
export type Grain = (typeof GRAINS)[number]

/** From a moment up to another one that is not part of it, in milliseconds since 1970. */
export interface Span {
  readonly from: number
  readonly to: number
}

const FORM = /^(\d{4})-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::00Z)?)?)?$/

/** What '2026-10', '2026-10-31' or '2026-10-31T23' stands for; undefined for what is none of these. */
export function spanOf(text: string): Span | undefined {
  const [, year, month, day, hour] = FORM.exec(text)?.map(Number) ?? []
  if (year === undefined || month === undefined) return undefined
  const isGiven = (part: number | undefined): part is number => part !== undefined && !Number.isNaN(part)
  const parts = [year, month - 1, isGiven(day) ? day : 1, isGiven(hour) ? hour : 0] as const
  const from = Date.UTC(...parts)
  // The 31st of a short month would be a day of the next one.
  const back = new Date(from)
  const found = [back.getUTCFullYear(), back.getUTCMonth(), back.getUTCDate(), back.getUTCHours()]
  if (parts.some((part, i) => part !== found[i])) return undefined
  if (isGiven(hour)) return { from, to: from + HOUR_MS }
  if (isGiven(day)) return { from, to: from + 24 * HOUR_MS }
  return { from, to: Date.UTC(year, month, 1) }
}

const HOUR_MS = 3_600_000

/** Months, days or hours, the last of them included; left out, up to now and from the beginning of its month. */
export interface Between {
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/**
 * @param now  milliseconds since 1970
 * @returns a sentence where one of them is no span, or they are the wrong way round
 */
export function spanBetween({ from, to }: Between, now: number): Span | string {
  const [first, last] = [from, to].map((text) => (text === undefined ? undefined : spanOf(text)))
  for (const [text, span] of [[from, first] as const, [to, last] as const]) {
    if (text !== undefined && !span) return `Wanted ${FORMS}; ${JSON.stringify(text.slice(0, 40))} came.`
  }
  const end = last?.to ?? Math.max(now + 1, first?.to ?? 0)
  const begin = first?.from ?? monthsOf({ from: end - 1, to: end }).from
  if (begin < end) return { from: begin, to: end }
  return `Wanted a beginning before the end; ${from} to ${to} came.`
}

export const FORMS = 'a month (2026-10), a day (2026-10-31) or an hour (2026-10-31T23), in UTC'

/** All of the months of which it has a part. */
export function monthsOf({ from, to }: Span): Span {
  const [first, last] = [new Date(from), new Date(to - 1)]
  return {
    from: Date.UTC(first.getUTCFullYear(), first.getUTCMonth(), 1),
    to: Date.UTC(last.getUTCFullYear(), last.getUTCMonth() + 1, 1),
  }
}
