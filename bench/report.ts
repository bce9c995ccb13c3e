/** What a run has found, as Markdown. */

import { type Comparison, compare, type Figure, figureOf, type Slice, type Spread } from './figures.ts'
import type { LoadName } from './load.ts'
import { TITLES } from './operations.ts'
import { SERVERS, type ServerName } from './servers.ts'

export interface Run {
  readonly title: string
  /** Machine, versions, settings: a line each. */
  readonly conditions: readonly string[]
  readonly loads: readonly LoadName[]
  readonly servers: readonly ServerName[]
  readonly slices: readonly Slice[]
}

/** The run at a glance: its conditions, and medians alone. */
export function glanceOf({ conditions, loads, servers, slices }: Run): string {
  const comparisons = compare(slices, loads)
  const parts = [
    conditions.map((line) => `- ${line}`).join('\n'),
    `## Requests per second\n\n${glanceTable(slices, loads, servers, ['rate'])}`,
    `## CPU of server + Postgres per request, µs\n\n${glanceTable(slices, loads, servers, ['serverCpu', 'postgresCpu'])}`,
  ]
  if (comparisons.length > 0) {
    const note = 'Ratios, with the goal in brackets; bold is what is missed.'
    parts.push(`## Shardgate beside the others\n\n${note}\n\n${goalGlance(comparisons, loads)}`)
  }
  return parts.join('\n\n')
}

/** The glance, and after it each figure with its spread. */
export function reportOf(run: Run): string {
  const { title, loads, servers, slices } = run
  const comparisons = compare(slices, loads)
  const parts = [
    `# ${title}`,
    glanceOf(run),
    'From here on: median of the rounds (least–most). CPU is microseconds per request; times are milliseconds.',
    ...loads.map((load) => `## ${load}: ${TITLES[load]}\n\n${loadTable(slices, load, servers)}`),
  ]
  if (comparisons.length > 0) parts.push(`## Every ratio\n\n${goalTable(comparisons)}`)
  return `${parts.join('\n\n')}\n`
}

/** Medians alone: a line for a server, a column for an operation. */
function glanceTable(
  slices: readonly Slice[],
  loads: readonly LoadName[],
  servers: readonly ServerName[],
  figures: readonly Figure[],
): string {
  const cell = (server: ServerName, load: LoadName): string =>
    figures.map((figure) => figureOf(slices, server, load, figure)?.median.toFixed(0) ?? '').join(' + ')
  const rows = servers.map((server) => [SERVERS[server].title, ...loads.map((load) => cell(server, load))])
  return markdownTable(['', ...loads], rows)
}

const COLUMNS: readonly (readonly [string, Figure, number])[] = [
  ['requests/s', 'rate', 0],
  ['p50', 'p50', 1],
  ['p99', 'p99', 1],
  ['server CPU', 'serverCpu', 0],
  ['Postgres CPU', 'postgresCpu', 0],
]

export function loadTable(slices: readonly Slice[], load: LoadName, servers: readonly ServerName[]): string {
  const rows = servers.map((server) => {
    const cells = COLUMNS.map(([, figure, digits]) => {
      const spread = figureOf(slices, server, load, figure)
      return spread ? spreadText(spread, digits) : ''
    })
    return [SERVERS[server].title, ...cells]
  })
  return markdownTable(['', ...COLUMNS.map(([head]) => head)], rows)
}

function goalGlance(comparisons: readonly Comparison[], loads: readonly LoadName[]): string {
  const goals = [...new Set(comparisons.map(({ goal }) => goal))]
  const rows = goals.map((goal) => {
    const cells = loads.map((load) => {
      const found = comparisons.find((one) => one.goal === goal && one.load === load)
      if (!found) return ''
      const text = `${found.ratio.median.toFixed(2)} (${boundOf(found)})`
      return found.met ? text : `**${text}**`
    })
    return [goal.title, ...cells]
  })
  return markdownTable(['', ...loads], rows)
}

const boundOf = ({ goal, wanted }: Comparison): string => `${goal.figure === 'rate' ? '≥' : '≤'} ${wanted}`

/** Ratios are medians of the ratios of single rounds. */
function goalTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map((one) => {
    const { load, goal, ratio, met } = one
    return [load, goal.title, spreadText(ratio, 2), boundOf(one), met ? 'met' : '**missed**']
  })
  return markdownTable(['', 'ratio', 'median (least–most)', 'goal', ''], rows)
}

export function spreadText({ median, min, max }: Spread, digits: number): string {
  const [middle, least, most] = [median, min, max].map((value) => value.toFixed(digits))
  return `${middle} (${least}–${most})`
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
