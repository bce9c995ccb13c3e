/**
 * Cutting a text of SQL into its statements, for files whose statements run one by one. It follows psql: a
 * semicolon ends a statement unless it stands in a text, a name, a comment, between parentheses or in the body
 * of a function that is written as SQL ("begin atomic … end").
 */

export interface SqlStatement {
  readonly text: string
  /** Line of the whole text on which it begins, from 1. */
  readonly line: number
}

const PIECE = new RegExp(
  [
    /--[^\n]*/,
    /(?<comment>\/\*)/,
    /(?<dollar>(?<![\w$\u0080-\uffff])\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)/,
    /(?<escaped>(?<![\w$\u0080-\uffff])[eE]'(?:[^'\\]|\\[\s\S]|'')*')/,
    /'(?:[^']|'')*'/,
    /"(?:[^"]|"")*"/,
    /(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/,
    /(?<mark>[();])/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
)

/** The statements of `text` in order, without their semicolons; comments alone are none. */
export function statementsOf(text: string): SqlStatement[] {
  const found: SqlStatement[] = []
  const state = { depth: 0, blocks: 0, words: [] as string[] }
  let from = 0
  let begin = -1
  const end = (at: number): void => {
    if (begin >= 0) found.push({ text: text.slice(begin, at).trim(), line: lineAt(text, begin) })
    from = at + 1
    begin = -1
    Object.assign(state, { depth: 0, blocks: 0, words: [] })
  }
  PIECE.lastIndex = 0
  for (let piece = PIECE.exec(text); piece; piece = PIECE.exec(text)) {
    const { comment, dollar, word, mark } = piece.groups ?? {}
    if (comment) PIECE.lastIndex = endOfComment(text, piece.index)
    if (dollar) PIECE.lastIndex = endOfDollars(text, piece.index, dollar)
    begin = begin < 0 ? beginOf(text, from, piece) : begin
    if (comment || piece[0].startsWith('--')) {
      if (begin < 0) from = PIECE.lastIndex
      continue
    }
    if (word) countBlocks(state, word.toLowerCase())
    if (mark === '(') state.depth++
    if (mark === ')') state.depth = Math.max(0, state.depth - 1)
    if (mark === ';' && state.depth === 0 && state.blocks === 0) end(piece.index)
  }
  if (begin < 0 && text.slice(from).trim() !== '') begin = from + text.slice(from).search(/\S/)
  end(text.length)
  return found
}

/** Where the statement begins that has nothing before this piece but what no piece matches; -1 for a comment. */
function beginOf(text: string, from: number, piece: RegExpExecArray): number {
  const between = text.slice(from, piece.index).search(/\S/)
  if (between >= 0) return from + between
  const isNothing = piece.groups?.comment !== undefined || piece[0].startsWith('--') || piece[0] === ';'
  return isNothing ? -1 : piece.index
}

// "create function … begin atomic …; …; end": within it, "case" has an "end" too.
function countBlocks(state: { blocks: number; words: string[] }, word: string): void {
  if (state.words.length < 4) state.words.push(word)
  const isRoutine =
    state.words[0] === 'create' && state.words.some((one) => /^(function|procedure)$/.test(one))
  if (!isRoutine) return
  if (word === 'begin' || (word === 'case' && state.blocks > 0)) state.blocks++
  if (word === 'end' && state.blocks > 0) state.blocks--
}

function endOfComment(text: string, start: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = start
  let depth = 0
  for (let found = mark.exec(text); found; found = mark.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return text.length
}

function endOfDollars(text: string, start: number, tag: string): number {
  const end = text.indexOf(tag, start + tag.length)
  return end < 0 ? text.length : end + tag.length
}

function lineAt(text: string, at: number): number {
  return text.slice(0, at).split('\n').length
}
