/** SQL for people: a clause on each line, subqueries indented, names without needless quotes, values below. */

/** A statement's text and its values, one in a line. */
export function formatSql(text: string, values: readonly unknown[] = []): string {
  const lines = layOut(tokensOf(text))
  return [...lines, ...values.map((value, i) => `-- $${i + 1} = ${JSON.stringify(value)}`)].join('\n')
}

const CLAUSES = new Set([
  ...['select', 'insert', 'update', 'delete', 'with', 'from', 'where', 'group', 'having', 'order', 'limit'],
  ...['offset', 'returning', 'values', 'set', 'union', 'for'],
])
// Begin a line of their own where they stand between clauses, but not inside one ("left(", "on conflict").
const CONTINUED = new Set(['and', 'or', 'cross', 'join', 'left', 'on'])

function tokensOf(text: string): string[] {
  const plain = text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/"([a-z_][a-z0-9_]*)"/g, '$1')
    .replaceAll('pg_catalog.', '')
  return plain.match(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\(|\)|[^\s()'"]+|\s/g) ?? []
}

/** A bracket around a subquery is a block with lines of its own; any other one stays in its line. */
function layOut(tokens: readonly string[]): string[] {
  const lines: string[] = ['']
  const brackets: boolean[] = []
  const depth = () => brackets.filter(Boolean).length
  const breakLine = (extra: number) => {
    if (lines.at(-1)!.trim() === '') lines.pop()
    lines.push('  '.repeat(depth() + extra))
  }
  tokens.forEach((token, i) => {
    const inline = brackets.at(-1) === false
    if (token === '(') {
      const isBlock = ['select', 'insert', 'update', 'delete'].includes(tokens[i + 1] ?? '')
      lines.push(`${lines.pop()}(`)
      brackets.push(isBlock)
      if (isBlock) breakLine(0)
      return
    }
    if (token === ')') {
      if (brackets.pop()) breakLine(0)
      lines.push(`${lines.pop()!})`)
      return
    }
    if (!inline && CLAUSES.has(token) && !isPartOfClause(tokens, i)) breakLine(0)
    else if (!inline && CONTINUED.has(token) && tokens[i + 1] === ' ' && !isPartOfClause(tokens, i))
      breakLine(1)
    const line = lines.pop()!
    lines.push(token === ' ' && line.trim() === '' ? line : line + token)
  })
  return lines.map((line) => line.trimEnd()).filter((line) => line !== '')
}

// "is distinct from", "on conflict do update set", "for update", "with ordinality", "cross join".
function isPartOfClause(tokens: readonly string[], i: number): boolean {
  const before = tokens[i - 2] ?? ''
  if (tokens[i] === 'with') return i > 0
  if (tokens[i] === 'join') return before === 'cross' || before === 'left'
  if (tokens[i] === 'from') return before === 'distinct'
  if (tokens[i] === 'update') return before === 'do' || before === 'for'
  return false
}
