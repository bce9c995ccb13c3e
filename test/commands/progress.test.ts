/** Progress of long work: how fast it goes and how long it will take, for a person; one line a step in a file. */

import { expect, it } from 'vitest'
import { durationText, terminalProgress } from '../../src/commands/progress.ts'
import { manualClock } from '../kit/clock.ts'

function watched(isTTY: boolean) {
  const clock = manualClock()
  const written: string[] = []
  const output = {
    isTTY,
    columns: 120,
    write: (text: string) => void written.push(text.replaceAll('\r\x1b[K', '')),
  }
  return { clock, written, progress: terminalProgress(output, clock) }
}

it('tells rate and time left where the parts are counted', () => {
  const { clock, written, progress } = watched(true)
  const tell = progress.moving('Migrating')
  tell('begins', 0, 300)
  clock.advance(10_000)
  tell('own', 50, 300)
  clock.advance(10_000)
  tell('last', 300, 300)
  expect(written).toEqual([
    '… Migrating ░░░░░░░░░░░░░░░░░░░░░░░░ 0/300: begins',
    '… Migrating ████░░░░░░░░░░░░░░░░░░░░ 50/300, 5.0/s, 50 s left: own',
    '… Migrating ████████████████████████ 300/300, 15/s: last',
  ])
})

it('counts parts and what they have added, and leaves one line', async () => {
  const { clock, written, progress } = watched(true)
  await progress.counted('Rows', 2, async (done) => {
    clock.advance(1_000)
    done(7)
    clock.advance(1_000)
    done(0)
  })
  expect(written.slice(1, 3)).toEqual([
    '… Rows ████████████░░░░░░░░░░░░ 1/2, 1.0/s, 1 s left, 7 new',
    '… Rows ████████████████████████ 2/2, 1.0/s, 7 new',
  ])
  expect(written.at(-1)).toMatch(/Rows: 7 new \(2\.0 s\)\n$/)
})

it('writes nothing that moves into a file', () => {
  const { written, progress } = watched(false)
  progress.moving('Migrating')('own', 1, 2)
  progress.still()
  expect(written).toEqual([])
})

it.each([
  [0.2, '1 s'],
  [59.1, '1 min 0 s'],
  [125, '2 min 5 s'],
  [3_840, '1 h 4 min'],
])('%d seconds are %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text)
})
