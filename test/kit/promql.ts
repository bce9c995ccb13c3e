/**
 * As much of PromQL as dashboards and alerts use: which metrics an expression names, with which labels.
 *
 *     readPromql('sum by (le) (rate(a_bucket{b="c"}[5m]))')
 *         ─▶ { selectors: [{ metric: 'a_bucket', matchers: [{ label: 'b', sign: '=', value: 'c' }] }], grouped: ['le'] }
 *
 * What it does not know it refuses: a function that is misspelt would otherwise be taken for nothing at all.
 */

export interface Matcher {
  readonly label: string
  readonly sign: string
  readonly value: string
}

export interface Selector {
  readonly metric: string
  readonly matchers: readonly Matcher[]
}

export interface PromqlNames {
  readonly selectors: readonly Selector[]
  /** Labels of `by`, `on` and the like. */
  readonly grouped: readonly string[]
}

const FUNCTIONS = ['rate', 'increase', 'delta', 'histogram_quantile', 'absent', 'vector', 'clamp_min']
const AGGREGATORS = ['sum', 'max', 'min', 'avg', 'count', 'topk']
const GROUPINGS = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']
const WORDS = ['and', 'or', 'unless', 'bool', 'offset']
const BRACKETS: Readonly<Record<string, string>> = { ')': '(', '}': '{' }

const TOKEN = new RegExp(
  [
    String.raw`(?<string>"(?:[^"\\]|\\.)*")`,
    String.raw`(?<range>\[(?:\d+[smhdw]|\$__rate_interval)\])`,
    String.raw`(?<word>[A-Za-z_:][\w:]*)`,
    String.raw`(?<number>\d+(?:\.\d+)?)`,
    String.raw`(?<sign>=~|!~|!=|==|>=|<=|[=<>+\-*/(){},])`,
  ].join('|'),
  'y',
)

/** @throws Error  it is no PromQL, or more of it than this knows */
export function readPromql(text: string): PromqlNames {
  const tokens = tokensOf(text)
  const selectors: Selector[] = []
  const grouped: string[] = []
  const open: string[] = []
  for (let i = 0; i < tokens.length; i++) {
    const [token = '', next] = [tokens[i], tokens[i + 1]]
    if (BRACKETS[token] && open.pop() !== BRACKETS[token]) throw new Error(`${token} closes nothing: ${text}`)
    if (token === '(') open.push(token)
    if (token === '{') throw new Error(`A selector without a metric: ${text}`)
    if (!/^[A-Za-z_:]/.test(token) || WORDS.includes(token)) continue
    const isCalled = next === '(' || (AGGREGATORS.includes(token) && GROUPINGS.includes(next ?? ''))
    if (GROUPINGS.includes(token)) {
      const end = tokens.indexOf(')', i)
      grouped.push(...tokens.slice(i + 2, end).filter((word) => word !== ','))
      i = end
    } else if (isCalled) {
      if (![...FUNCTIONS, ...AGGREGATORS].includes(token)) throw new Error(`${token} is no function: ${text}`)
    } else if (next === '{') {
      const end = tokens.indexOf('}', i)
      selectors.push({ metric: token, matchers: matchersOf(tokens.slice(i + 2, end)) })
      i = end
    } else selectors.push({ metric: token, matchers: [] })
  }
  if (open.length > 0) throw new Error(`${open[0]} is not closed: ${text}`)
  return { selectors, grouped }
}

function tokensOf(text: string): string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  for (let at = gap(text, 0); at < text.length; at = gap(text, TOKEN.lastIndex)) {
    TOKEN.lastIndex = at
    const [token] = TOKEN.exec(text) ?? []
    if (token === undefined) throw new Error(`Not PromQL from here: ${text.slice(at)}`)
    tokens.push(token)
  }
  return tokens
}

const gap = (text: string, at: number): number => at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0)

function matchersOf(tokens: readonly string[]): Matcher[] {
  const matchers: Matcher[] = []
  for (let i = 0; i < tokens.length; i += 4) {
    const [label = '', sign = '', value = '""', comma = ','] = tokens.slice(i, i + 4)
    if (!/^(=|!=|=~|!~)$/.test(sign) || comma !== ',') throw new Error(`No matchers: ${tokens.join(' ')}`)
    matchers.push({ label, sign, value: JSON.parse(value) })
  }
  return matchers
}

/** What a scrape gives: each family with its type, and of each series name its labels with their values. */
export interface Scrape {
  readonly families: ReadonlyMap<string, string>
  readonly series: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>
}

export function readScrape(text: string): Scrape {
  const families = new Map<string, string>()
  const series = new Map<string, Map<string, Set<string>>>()
  for (const line of text.split('\n')) {
    const [, family = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (family) families.set(family, type)
    const [, name = '', labels = ''] = /^([a-z_]\w*)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (!name) continue
    const known = series.get(name) ?? new Map<string, Set<string>>()
    series.set(name, known)
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      known.set(label, (known.get(label) ?? new Set()).add(value))
    }
  }
  return { families, series }
}

/** Labels that Prometheus itself adds. */
const ADDED = ['job', 'instance']

/** What is wrong with an expression, as sentences: names that no series of the scrape has. */
export function strangersIn(expression: string, { series }: Scrape): string[] {
  const { selectors, grouped } = readPromql(expression)
  const labelsOf = (metric: string): readonly string[] => [...ADDED, ...(series.get(metric)?.keys() ?? [])]
  const own = selectors.filter(({ metric }) => metric !== 'up')
  const unknown = own.filter(({ metric }) => !series.has(metric)).map(({ metric }) => `no metric ${metric}`)
  const labels = own
    .filter(({ metric }) => series.has(metric))
    .flatMap(({ metric, matchers }) =>
      matchers.flatMap(({ label, sign, value }) => {
        if (!labelsOf(metric).includes(label)) return [`no label ${label} of ${metric}`]
        const isMissing =
          sign === '=' && !ADDED.includes(label) && !series.get(metric)?.get(label)?.has(value)
        return isMissing ? [`no ${label}="${value}" of ${metric}`] : []
      }),
    )
  const everywhere = selectors.flatMap(({ metric }) => labelsOf(metric))
  const groups = grouped.filter((label) => !everywhere.includes(label)).map((label) => `no label ${label}`)
  return [...unknown, ...labels, ...groups].map((fault) => `${fault}: ${expression}`)
}
