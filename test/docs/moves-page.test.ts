/** docs/moves.md says of states, events and transitions what the code's table says, under the same numbers. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { MOVE_EVENTS, MOVE_STATES, TRANSITIONS } from '../../src/control/move/states.ts'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/moves.md'), 'utf8')
const rows = page.split('\n').flatMap((line) =>
  line.startsWith('| ')
    ? [
        line
          .slice(2)
          .split('|')
          .map((cell) => cell.trim()),
      ]
    : [],
)
const plain = (cell = ''): string => cell.replaceAll('`', '')

/** Second cells of rows that are numbered with the letter, in the order of the page. */
function numbered(letter: string): [number: string, name: string][] {
  return rows.flatMap(([number = '', name]) =>
    new RegExp(`^${letter}\\d+$`).test(number) ? [[number, plain(name)] as [string, string]] : [],
  )
}

it('numbers states and events as the code does', () => {
  expect(numbered('S')).toEqual(MOVE_STATES.map((state, i) => [`S${i}`, state]))
  expect(numbered('E')).toEqual(MOVE_EVENTS.map((event, i) => [`E${i + 1}`, event]))
})

it('gives the same numbers as the comments of the code', () => {
  const code = readFileSync(join(root, 'src/control/move/states.ts'), 'utf8')
  const commented = [...code.matchAll(/\/\*\* ([SE]\d+)\b[^/]*\*\/\n {2}'([^']+)'/g)].map(
    ([, number, name]) => [number, name],
  )
  expect(commented).toEqual([...numbered('S'), ...numbered('E')])
})

it('tells each transition of the table', () => {
  const head = rows.findIndex((cells) => MOVE_EVENTS.every((event, i) => plain(cells[i + 1]) === event))
  const table = rows.slice(head + 1, head + 1 + MOVE_STATES.length)
  const told = Object.fromEntries(
    table.map(([state, ...next]) => [
      plain(state),
      Object.fromEntries(MOVE_EVENTS.map((event, i) => [event, plain(next[i]) || null])),
    ]),
  )
  expect(told).toEqual(TRANSITIONS)
})

it('names files that are there', () => {
  const sources = [...page.matchAll(/`((?:src|test)\/[\w./-]+\.(?:ts|sql))`/g)].map(([, file]) => file!)
  expect(sources.length).toBeGreaterThan(3)
  for (const file of sources) expect(() => readFileSync(join(root, file))).not.toThrow()
  const near = [...page.matchAll(/`([\w-]+\.ts)`/g)].map(([, file]) => file!)
  for (const file of near)
    expect(() => readFileSync(join(root, 'src/control/move', file)), file).not.toThrow()
})
