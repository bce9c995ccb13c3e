/**
 * What commands print: tables for people, JSON for programs, errors as a sentence and what to do next.
 *
 * Names come out of databases, and a name may hold the bytes that clear a screen or rewrite a title. No
 * control character leaves here.
 */

import { createInterface } from 'node:readline/promises'
import { styleText } from 'node:util'

/** Where a command writes, so that tests can read it. */
export interface Terminal {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Whether `out` shows colours: a terminal, and no NO_COLOR. */
  readonly colour: boolean
  /** Asks a person for yes or no; undefined where nobody sits at it. */
  readonly ask?: (question: string) => Promise<boolean>
}

export function systemTerminal(): Terminal {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    // hasColors knows of NO_COLOR, FORCE_COLOR and TERM; a pipe has no such method.
    colour: process.stdout.isTTY === true && process.stdout.hasColors(),
    ...(process.stdin.isTTY && process.stderr.isTTY && { ask }),
  }
}

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await lines.question(`${question} [y/N] `).finally(() => lines.close())
  return /^y(es)?$/i.test(answer.trim())
}

export type Cell = string | number | boolean | null | undefined

export interface TableColumn<T> {
  readonly title: string
  readonly cell: (row: T) => Cell
  /** Stands to the right: a number with its unit. */
  readonly isAmount?: true
}

/** Rows under titles, columns two spaces apart; numbers stand to the right. */
export function table<T>(rows: readonly T[], columns: readonly TableColumn<T>[], colour: boolean): string {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)))
  const texts = cells.map((line) => line.map((cell) => visible(String(cell ?? '–'))))
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...texts.map((line) => widthOf(line[i]!))),
  )
  const isNumber = columns.map(
    ({ isAmount }, i) => isAmount || (cells.length > 0 && cells.every((line) => typeof line[i] === 'number')),
  )
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, i) => {
        const space = ' '.repeat(widths[i]! - widthOf(part))
        return isNumber[i] ? space + part : part + space
      })
      .join('  ')
      .trimEnd()
  const titles = line(columns.map(({ title }) => title.toUpperCase()))
  const head = colour ? styleText('bold', titles) : titles
  return `${[head, ...texts.map(line)].join('\n')}\n`
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u

/** Columns that a terminal gives a text: two for what East Asia and emoji need, none for an accent of its own. */
function widthOf(text: string): number {
  const columns = [...text].map((char) => (WIDE.test(char) ? 2 : /\p{Mn}/u.test(char) ? 0 : 1))
  return columns.reduce<number>((sum, one) => sum + one, 0)
}

/** One record, a field a line. */
export function record(fields: Readonly<Record<string, Cell>>, colour: boolean): string {
  const width = Math.max(...Object.keys(fields).map((name) => name.length))
  const lines = Object.entries(fields).map(([name, value]) => {
    const label = name.padEnd(width)
    return `${colour ? styleText('bold', label) : label}  ${visible(String(value ?? '–'))}`
  })
  return `${lines.join('\n')}\n`
}

/** Text with its control characters written out: what a terminal would obey becomes what a person can read. */
export function visible(text: string): string {
  return text.replace(/\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    return `\\u${char.codePointAt(0)!.toString(16).padStart(4, '0')}`
  })
}
