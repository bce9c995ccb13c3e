/**
 * Reads the expressions that Postgres prints for policies and checks, as far as one question needs it:
 * does this expression hold the tenant column to the tenant of the transaction?
 *
 * Postgres puts parentheses around every operation it prints, so a split at the outermost level is
 * exact. Whatever is not understood counts as "no": the answer may ask for a plainer policy, but never
 * calls an unsafe one safe.
 */

/** The setting in which `begin_tenant` keeps the tenant of a transaction (shards/sql). */
const TENANT_SETTING = 'app.current_tenant_id'

export interface TenantBinding {
  /** Read once a statement, as `(select …)`, and not once a row. */
  readonly once: boolean
  /** Turns the '' that a setting holds after a transaction back into null. */
  readonly emptyIsNull: boolean
}

type Tokens = readonly string[]

/**
 * How `expression` binds `column` to the tenant: `column = (select shardgate.current_tenant())`, alone
 * or as one part of a conjunction. Undefined when it does not.
 */
export function tenantBinding(expression: string, column: string): TenantBinding | undefined {
  const found = tokensOf(expression)
  return found && bindingOf(found, column)
}

/** Whether `expression` refuses the empty text in `column`: `column <> ''` or `length(column) > 0`. */
export function refusesEmpty(expression: string, column: string): boolean {
  const found = tokensOf(expression)
  return found !== undefined && refuses(found, column)
}

const TOKEN = new RegExp(
  [
    /\s+/,
    /(?:[eE]?'(?:[^'\\]|'')*')/, // A backslash may mean an escape: such a text is not understood.
    /"(?:[^"]|"")*"/,
    /[A-Za-z_][A-Za-z0-9_$]*/,
    /[0-9]+(?:\.[0-9]+)?/,
    /::/,
    /[-+*/<>=~!@#%^&|`?]+/,
    /[(),.[\]]/,
  ]
    .map((part) => part.source)
    .join('|'),
  'y',
)

function tokensOf(text: string): Tokens | undefined {
  const found: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text)
    if (!match) return undefined
    if (match[0].trim() !== '') found.push(match[0])
  }
  return found
}

function bindingOf(tokens: Tokens, column: string): TenantBinding | undefined {
  const inner = withoutParentheses(tokens)
  const either = splitAt(inner, 'OR')
  if (either.length > 1) return weakest(either.map((part) => bindingOf(part, column)))
  const all = splitAt(inner, 'AND')
  if (all.length > 1) return all.map((part) => bindingOf(part, column)).find(Boolean)
  const [left, right, ...more] = splitAt(inner, '=')
  if (!left || !right || more.length > 0) return undefined
  if (isColumn(left, column)) return tenantOf(right)
  return isColumn(right, column) ? tenantOf(left) : undefined
}

// Of alternatives every one has to bind.
function weakest(parts: readonly (TenantBinding | undefined)[]): TenantBinding | undefined {
  const bound = parts.filter((part) => part !== undefined)
  if (bound.length < parts.length) return undefined
  return { once: bound.every(({ once }) => once), emptyIsNull: bound.every((part) => part.emptyIsNull) }
}

function isColumn(tokens: Tokens, column: string): boolean {
  const inner = withoutCasts(tokens)
  return inner.length === 1 && plainName(inner[0]) === column
}

/** The tenant of the transaction, by our function or by the setting itself. */
function tenantOf(tokens: Tokens): TenantBinding | undefined {
  const inner = withoutCasts(tokens)
  if (inner[0] === 'SELECT') return tenantOfSelect(inner.slice(1))
  const call = callOf(inner)
  if (!call) return undefined
  if (call.name === 'current_tenant') {
    return call.arguments.length === 0 ? { once: false, emptyIsNull: true } : undefined
  }
  if (call.name === 'NULLIF') {
    const [value = [], empty = []] = call.arguments
    return isTenantSetting(value) && isEmptyText(empty) ? { once: false, emptyIsNull: true } : undefined
  }
  return isTenantSetting(inner) ? { once: false, emptyIsNull: false } : undefined
}

// `SELECT … AS name` and nothing after it: no FROM, no WHERE.
function tenantOfSelect(tokens: Tokens): TenantBinding | undefined {
  const at = tokens.lastIndexOf('AS')
  const value = at === tokens.length - 2 && at > 0 ? tokens.slice(0, at) : tokens
  const found = tenantOf(value)
  return found && { ...found, once: true }
}

function isTenantSetting(tokens: Tokens): boolean {
  const call = callOf(withoutCasts(tokens))
  const [name] = withoutCasts(call?.arguments[0] ?? [])
  return call?.name === 'current_setting' && name === `'${TENANT_SETTING}'`
}

function refuses(tokens: Tokens, column: string): boolean {
  const inner = withoutParentheses(tokens)
  if (splitAt(inner, 'OR').length > 1) return false
  const all = splitAt(inner, 'AND')
  if (all.length > 1) return all.some((part) => refuses(part, column))
  const [left, right] = splitAt(inner, '<>')
  if (left && right) return isColumn(left, column) && isEmptyText(right)
  const [length, least] = splitAt(inner, '>')
  const call = length && callOf(withoutParentheses(length))
  if (!call || !['length', 'char_length', 'octet_length'].includes(call.name)) return false
  return isColumn(call.arguments[0] ?? [], column) && least?.length === 1 && least[0] === '0'
}

function isEmptyText(tokens: Tokens): boolean {
  const inner = withoutCasts(tokens)
  return inner.length === 1 && inner[0] === `''`
}

interface Call {
  /** Without its schema. */
  readonly name: string
  readonly arguments: readonly Tokens[]
}

// Which function a bare or qualified name means is not decided here: see policies.ts, `impostors`.
function callOf(tokens: Tokens): Call | undefined {
  const open = tokens.indexOf('(')
  if (open < 1 || closing(tokens, open) !== tokens.length - 1) return undefined
  const path = tokens.slice(0, open)
  if (path.length !== 1 && !(path.length === 3 && path[1] === '.')) return undefined
  const inside = tokens.slice(open + 1, -1)
  const name = plainName(path.at(-1))
  return { name, arguments: inside.length === 0 ? [] : splitAt(inside, ',') }
}

function plainName(token: string | undefined): string {
  return token?.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') : (token ?? '')
}

// Casts that keep two different ids different; "name" and "varchar(3)" would cut them.
const CASTS: readonly Tokens[] = [
  ['text'],
  ['character', 'varying'],
  ['uuid'],
  ['smallint'],
  ['integer'],
  ['bigint'],
]

function withoutCasts(tokens: Tokens): Tokens {
  const inner = withoutParentheses(tokens)
  const at = inner.lastIndexOf('::')
  if (at < 0) return inner
  const type = inner.slice(at + 1)
  const known = CASTS.some((cast) => cast.join(' ') === type.join(' '))
  return known && depthAt(inner, at) === 0 ? withoutCasts(inner.slice(0, at)) : inner
}

function withoutParentheses(tokens: Tokens): Tokens {
  const whole = tokens[0] === '(' && closing(tokens, 0) === tokens.length - 1
  return whole ? withoutParentheses(tokens.slice(1, -1)) : tokens
}

function closing(tokens: Tokens, open: number): number {
  let depth = 0
  for (let i = open; i < tokens.length; i++) {
    if (tokens[i] === '(') depth++
    if (tokens[i] === ')') depth--
    if (depth === 0) return i
  }
  return -1
}

function depthAt(tokens: Tokens, end: number): number {
  return tokens
    .slice(0, end)
    .reduce((depth, token) => depth + (token === '(' ? 1 : token === ')' ? -1 : 0), 0)
}

/** The parts between `separator`s at the outermost level. */
function splitAt(tokens: Tokens, separator: string): Tokens[] {
  const parts: string[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token === '(' || token === '[') depth++
    if (token === ')' || token === ']') depth--
    if (depth === 0 && token === separator) parts.push([])
    else parts.at(-1)?.push(token)
  }
  return parts
}
