/** What `shardgate plan` prints for people: moves, buckets, and what each shard holds before and after, as bars. */

import { styleText } from 'node:util'
import { sizeText } from '../control/advise.ts'
import { isEmpty, type MovePlan, type PlannedMove, type ShardLoad } from '../control/rebalance/document.ts'
import { table, visible } from './print.ts'
import { durationText } from './progress.ts'

/** Moves that are listed; a file and JSON have all of them. */
const LISTED = 40
/** Sentences of a kind, the same. */
const SENTENCES = 15
const BAR = 24

export function planText(plan: MovePlan, colour: boolean): string {
  const parts = [
    headText(plan, colour),
    ...(plan.moves.length > 0 ? [movesText(plan.moves, colour)] : []),
    ...bucketsText(plan),
    ...(isEmpty(plan) ? [] : [loadsText(plan, colour)]),
    ...sentences('Cannot be done', plan.problems, 'yellow', colour),
    ...sentences('To know', plan.advice, 'cyan', colour),
  ]
  return `${parts.join('\n\n')}\n`
}

function headText(plan: MovePlan, colour: boolean): string {
  const { moves, buckets, rows, bytes, ms, maxPauseMs } = plan.totals
  if (isEmpty(plan)) {
    const tenants = plan.shards.reduce((sum, { before }) => sum + before.tenants, 0)
    const where = `${counted(tenants, 'tenant')} on ${counted(plan.shards.length, 'shard')}`
    return plan.problems.length > 0
      ? `Nothing that can be done: ${where} stay where they are.`
      : `Nothing to do: ${where} are where the file wants them.`
  }
  const changes = buckets > 0 ? `, ${counted(buckets, 'bucket')}` : ''
  const head = `${counted(moves, 'move')}${changes}`
  const title = colour ? styleText('bold', head) : head
  if (moves === 0) return `${title}: nothing is copied, only the directory changes.`
  const { atOnce, perShard } = plan.limits
  return (
    `${title}: ${rows.toLocaleString('en')} rows, ${sizeText(bytes)} in about ${durationText(ms / 1_000)},\n` +
    `${atOnce} at once, ${perShard} a shard. Writes of each tenant are held for about ${maxPauseMs} ms at most.`
  )
}

function movesText(moves: readonly PlannedMove[], colour: boolean): string {
  const place = ({ from, to }: PlannedMove, end: 'from' | 'to'): string => {
    const { shard, isolation } = end === 'from' ? from : to
    return from.isolation === to.isolation ? shard : `${shard} (${isolation})`
  }
  const rows = table(
    moves.slice(0, LISTED).map((move, i) => ({ ...move, no: i + 1 })),
    [
      { title: '#', cell: ({ no }) => no },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'from', cell: (move) => place(move, 'from') },
      { title: 'to', cell: (move) => place(move, 'to') },
      { title: 'rows', cell: (move) => move.rows },
      { title: 'size', cell: (move) => sizeText(move.bytes), isAmount: true },
      { title: 'copy', cell: (move) => timeText(move.copyMs), isAmount: true },
      { title: 'pause', cell: (move) => timeText(move.pauseMs), isAmount: true },
      { title: 'because', cell: ({ reason }) => reason },
    ],
    colour,
  ).trimEnd()
  const rest = moves.length - LISTED
  return rest > 0 ? `${rows}\n… and ${rest} more: "-f plan.json" and "-o json" have them all.` : rows
}

/** '120 ms', '1.4 s', '2 min 5 s'. */
function timeText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : durationText(ms / 1_000)
}

function bucketsText({ buckets, bucketCount }: MovePlan): string[] {
  if (bucketCount) {
    return [
      `Buckets: ${bucketCount.from} become ${bucketCount.to}; each tenant is numbered again where it is.`,
    ]
  }
  if (buckets.length === 0) return []
  const ways = Map.groupBy(buckets, ({ from, to }) => `${from} → ${to}`)
  return [
    ['Buckets', ...[...ways].map(([way, list]) => `  ${way}  ${counted(list.length, 'bucket')}`)].join('\n'),
  ]
}

/** The size by shard, or what the balancer was to even out. */
function loadsText({ shards, balance }: MovePlan, colour: boolean): string {
  const by = balance?.by ?? 'size'
  const of = (held: ShardLoad['before']): number =>
    by === 'count' ? held.tenants : by === 'load' ? held.load : held.bytes
  const most = Math.max(...shards.flatMap(({ before, after }) => [of(before), of(after)]))
  const bar = (value: number): string => {
    const full = most > 0 ? Math.round((value / most) * BAR) : 0
    return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`
  }
  const width = Math.max(...shards.map(({ shard }) => shard.length))
  const amounts = shards.map((shard) =>
    [shard.before, shard.after].map((held) => amountText(held, by, of(held))),
  )
  const amountWidth = Math.max(...amounts.flat().map(({ length }) => length))
  const lines = shards.flatMap((shard, i) =>
    (['before', 'after'] as const).map((when, j) => {
      const held = shard[when]
      const name = (j === 0 ? shard.shard : '').padEnd(width)
      const drawn = colour ? styleText(j === 0 ? 'dim' : 'green', bar(of(held))) : bar(of(held))
      const amount = amounts[i]![j]!.padStart(amountWidth)
      const rest = by === 'count' ? sizeText(held.bytes) : counted(held.tenants, 'tenant')
      return `${name}  ${when.padEnd(6)}  ${drawn}  ${amount}  ${rest}, ${counted(held.buckets, 'bucket')}`
    }),
  )
  const title = `${TITLES[by]} BY SHARD`
  const even = balance
    ? [
        `Spread (highest − lowest, of the mean): ${shareText(balance.before)} before, ${shareText(balance.after)} after.`,
      ]
    : []
  return [colour ? styleText('bold', title) : title, ...lines, ...even].join('\n')
}

const TITLES = { size: 'SIZE', count: 'TENANTS', load: 'LOAD' } as const

function amountText(held: ShardLoad['before'], by: keyof typeof TITLES, value: number): string {
  if (by === 'size') return sizeText(held.bytes)
  return by === 'count' ? counted(held.tenants, 'tenant') : Math.round(value).toLocaleString('en')
}

const shareText = (share: number): string => `${Math.round(share * 100)} %`

export const counted = (n: number, what: string): string =>
  `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`

function sentences(
  title: string,
  lines: readonly string[],
  tint: 'yellow' | 'cyan',
  colour: boolean,
): string[] {
  if (lines.length === 0) return []
  const head = `${title}:`
  const shown = lines.slice(0, SENTENCES).map((line) => `  ${visible(line)}`)
  const rest =
    lines.length > SENTENCES ? [`  … and ${lines.length - SENTENCES} more: "-o json" has them all.`] : []
  return [[colour ? styleText(tint, head) : head, ...shown, ...rest].join('\n')]
}
