/** Figures out of slices: medians with their spread, and ratios of slices of the same round. */

import { GOALS, type Goal } from './goals.ts'
import type { LoadName } from './load.ts'
import type { ServerName } from './servers.ts'

/** What a few seconds of load have shown. */
export interface SliceFigures {
  readonly requests: number
  /** Requests per second. */
  readonly rate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of CPU per request. */
  readonly serverCpu: number
  readonly postgresCpu: number
  /** Part of the machine's CPU that others had meanwhile: 0 to 1. */
  readonly strangers: number
}

/** One server under one operation. */
export interface Slice extends SliceFigures {
  readonly server: ServerName
  readonly load: LoadName
  readonly round: number
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
  return { median, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 }
}

export type Figure = 'rate' | 'p50' | 'p99' | 'serverCpu' | 'postgresCpu'

/** @returns undefined when the server was not asked this */
export function figureOf(
  slices: readonly Slice[],
  server: ServerName,
  load: LoadName,
  figure: Figure,
): Spread | undefined {
  const values = slices
    .filter((slice) => slice.server === server && slice.load === load)
    .map((slice) => slice[figure])
  return values.length > 0 ? spreadOf(values) : undefined
}

export interface Comparison {
  readonly load: LoadName
  readonly goal: Goal
  readonly wanted: number
  readonly ratio: Spread
  readonly met: boolean
}

/** Each goal for each operation, as far as its servers took part. */
export function compare(slices: readonly Slice[], loads: readonly LoadName[]): Comparison[] {
  return GOALS.flatMap((goal) =>
    loads.flatMap((load) => {
      const wanted = goal.wanted[load]
      const against = opponent(slices, goal, load)
      const ratios = against ? ratiosOf(slices, load, against, goal.figure) : []
      if (wanted === undefined || ratios.length === 0) return []
      const ratio = spreadOf(ratios)
      const met = goal.figure === 'rate' ? ratio.median >= wanted : ratio.median <= wanted
      return [{ load, goal, wanted, ratio, met }]
    }),
  )
}

/** Of the two limits, the one that answers more requests of this kind. */
function opponent(slices: readonly Slice[], { against }: Goal, load: LoadName): ServerName | undefined {
  if (against !== 'limit') return against
  const limits: ServerName[] = ['limit-rows', 'limit-json']
  const rate = (server: ServerName): number => figureOf(slices, server, load, 'rate')?.median ?? 0
  return limits.toSorted((a, b) => rate(b) - rate(a)).find((server) => rate(server) > 0)
}

function ratiosOf(
  slices: readonly Slice[],
  load: LoadName,
  against: ServerName,
  figure: Goal['figure'],
): number[] {
  const value = (slice: Slice): number => {
    if (figure === 'cpu') return slice.serverCpu + slice.postgresCpu
    return slice[figure]
  }
  const of = (server: ServerName, round: number): Slice | undefined =>
    slices.find((slice) => slice.server === server && slice.load === load && slice.round === round)
  const rounds = new Set(slices.map(({ round }) => round))
  return [...rounds].flatMap((round) => {
    const [ours, theirs] = [of('ours', round), of(against, round)]
    return ours && theirs ? [value(ours) / value(theirs)] : []
  })
}

/** A line for the report: how quiet the machine was. */
export function strangersLine(slices: readonly SliceFigures[]): string {
  const { median, max } = spreadOf(slices.map(({ strangers }) => strangers * 100))
  return `others had ${median.toFixed(0)} % of the machine's CPU meanwhile, ${max.toFixed(0)} % at most`
}
