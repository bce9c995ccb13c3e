/**
 * Tables that are unsafe on one shard and are refused there, while everything else goes on.
 *
 * The door knows statements as text. Whatever may name such a table counts: a false alarm is right here, a table
 * that is overlooked is not. Only a name behind a dot is let pass when the dot follows another name than the
 * table's schema: it is a column then.
 */

export interface RefusedTables {
  /** 'schema.name', sorted. */
  readonly ids: readonly string[]
  /** The first of them that `text` may name. */
  namedIn(text: string): string | undefined
}

export const NONE_REFUSED: RefusedTables = Object.freeze({ ids: [], namedIn: () => undefined })

export function refusedTables(ids: Iterable<string>): RefusedTables {
  const sorted = [...new Set(ids)].sort()
  if (sorted.length === 0) return NONE_REFUSED
  const patterns = sorted.map((id) => [id, patternOf(id)] as const)
  return {
    ids: sorted,
    namedIn: (text) => {
      // A name that is spelt in escapes matches nothing that we could look for.
      if (/\bu&"/i.test(text)) return sorted[0]
      return patterns.find(([, pattern]) => pattern.test(text))?.[0]
    },
  }
}

const LETTER = '[\\p{L}\\p{N}_$]'

// A schema or a table may hold a dot itself, so every dot may be the one between them.
function patternOf(id: string): RegExp {
  const splits = [...id.matchAll(/\./g)].map(({ index }) => [id.slice(0, index), id.slice(index + 1)])
  const names = splits.map(([schema = '', name = '']) => {
    const behindSchema = `(?<=(?<!${LETTER})${spelt(schema)}"?\\s*\\.\\s*"?)`
    const alone = `(?<!${LETTER}|\\.\\s*|\\.\\s*")`
    return `(?:${behindSchema}|${alone})${spelt(name)}(?!${LETTER})`
  })
  return new RegExp(names.join('|'), 'iu')
}

/** As it stands, or within quotes. */
function spelt(name: string): string {
  const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  return `(?:${escaped(name)}|${escaped(name.replaceAll('"', '""'))})`
}
