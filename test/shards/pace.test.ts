/** Who is slow: what is remembered of batches that took long, and how it is forgotten. */

import { beforeEach, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { prepared } from '../../src/db/sql.ts'
import { Pace } from '../../src/shards/pace.ts'

const [one, two] = [tenantId('one'), tenantId('two')]
const [report, point] = [[prepared('select the report')], [prepared('select one row')]]

let lagMs = 0
beforeEach(() => {
  lagMs = 0
})

describe('a tenant whose batches take long', () => {
  it('is slow after one that was long, and so is what it asks for the first time', () => {
    const pace = new Pace(() => lagMs)
    pace.note(one, report, 500)
    expect(pace.isSlow(one, report)).toBe(true)
    expect(pace.isSlow(one, point)).toBe(true)
    expect(pace.isSlow(two, report)).toBe(false)
  })

  it('is quick again after three that were short; the statement that took long stays slow', () => {
    const pace = new Pace(() => lagMs)
    pace.note(one, report, 5_000)
    for (let i = 0; i < 3; i++) pace.note(one, point, 0.2)
    expect(pace.isSlow(one, point)).toBe(false)
    expect(pace.isSlow(one, report)).toBe(true)
    for (let i = 0; i < 3; i++) pace.note(one, report, 1)
    expect(pace.isSlow(one, report)).toBe(false)
  })

  it('is not slow for one that took somewhat longer, and is for several', () => {
    const pace = new Pace(() => lagMs)
    pace.note(one, point, 30)
    expect(pace.isSlow(one, point)).toBe(false)
    for (let i = 0; i < 5; i++) pace.note(one, point, 30)
    expect(pace.isSlow(one, point)).toBe(true)
  })

  it('stays slow while every other batch is long', () => {
    const pace = new Pace(() => lagMs)
    for (let i = 0; i < 10; i++) {
      pace.note(one, report, 300)
      pace.note(one, point, 0.2)
    }
    expect(pace.isSlow(one, point)).toBe(true)
  })

  it('is not slow where this process comes late to all answers, unless it is slower still', () => {
    const pace = new Pace(() => lagMs)
    lagMs = 50
    for (let i = 0; i < 10; i++) pace.note(one, point, 120)
    expect(pace.isSlow(one, point)).toBe(false)
    pace.note(one, report, 2_000)
    expect(pace.isSlow(one, report)).toBe(true)
  })
})
