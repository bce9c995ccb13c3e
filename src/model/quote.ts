/**
 * Identifiers and literals as SQL text, for statements that a person reads and pastes. Nothing that
 * Shardgate runs is made this way: see db/sql.ts.
 */

/** `app.tickets`, with quotes only where Postgres needs them. */
export function quoted(...names: readonly string[]): string {
  return names.map((name) => (PLAIN.test(name) && !KEYWORDS.has(name) ? name : doubled(name))).join('.')
}

/** `(tenant_id, id)`. */
export function quotedList(names: readonly string[]): string {
  return `(${names.map((name) => quoted(name)).join(', ')})`
}

const PLAIN = /^[a-z_][a-z0-9_]*$/

// Reserved words that people do name tables and columns with; the full list has 77.
const KEYWORDS: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc case cast check column constraint create current_date default
  desc distinct do else end except false fetch for foreign from grant group having in initially into
  leading limit localtime not null offset on only or order placing primary references returning select
  session_user some table then to trailing true union unique user using when where window with`.split(/\s+/),
)

function doubled(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
