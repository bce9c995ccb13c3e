/** What the doctor says of few findings, and of many. */

import { describe, expect, it } from 'vitest'
import { findingsText } from '../../src/commands/doctor-text.ts'
import type { Diagnosis } from '../../src/control/diagnosis.ts'

const say = (findings: readonly Diagnosis[], full = false): string =>
  findingsText(findings, { full, colour: false })

const of = (where: string, table: string, check: string, more: Partial<Diagnosis> = {}): Diagnosis => ({
  where,
  table,
  check,
  severity: 'unsafe',
  reason: `${check} is wrong.`,
  sql: `mend ${table};`,
  adopt: true,
  ...more,
})

const MANY = ['shard-a', 'shard-b'].flatMap((where) => [
  ...['app.a', 'app.b', 'app.c'].flatMap((table) => [
    of(where, table, 'row-security'),
    of(where, table, 'unique-key'),
  ]),
  of(where, 'app.a', 'unique-key'),
  of(where, 'app.b', 'slow', { severity: 'advice' }),
])

describe('what the doctor says', () => {
  it('of nothing is short', () => {
    expect(say([])).toBe('Nothing is wrong.\n')
  })

  it('of what is not served is one line for each reason, and no fault', () => {
    const notes = ['shard-a', 'shard-b'].flatMap((where) =>
      Array.from({ length: 12 }, (_, i) =>
        of(where, `app.p${i}`, 'not served', { severity: 'note', reason: 'it is a partition' }),
      ),
    )
    expect(say(notes)).toBe(
      'Nothing is wrong.\n\nNot in the API:\n  app.p0, app.p1, app.p2, app.p3, app.p4, app.p5, app.p6, app.p7, app.p8, app.p9 and 2 more: it is a partition\n',
    )
  })

  it('of a few begins with what is unsafe', () => {
    const advice = of('shard-a', 'app.a', 'slow', { severity: 'advice' })
    expect(say([advice, of('shard-a', 'app.z', 'unique-key')])).toMatch(
      /^unsafe .*app\.z[\s\S]*^advice .*app\.a/m,
    )
  })

  it('of several names in one finding is a line each', () => {
    const reason = 'These clash:\n  a and\u001b b'
    expect(say([{ where: 'shard-a', check: 'names', severity: 'unsafe', reason }])).toBe(
      'unsafe  shard-a  names\n  These clash:\n    a and\\u001b b\n',
    )
  })

  it('of a few holds the SQL of each', () => {
    expect(say([of('shard-a', 'app.a', 'row-security'), of('shard-a', 'app.b\u001b', 'unique-key')])).toBe(
      'unsafe  shard-a  app.a  row-security\n  row-security is wrong.\n    mend app.a;\n\n' +
        'unsafe  shard-a  app.b\\u001b  unique-key\n  unique-key is wrong.\n    mend app.b\\u001b;\n',
    )
  })

  it('of many has a row for each unsafe table, and names each kind once', () => {
    expect(say(MANY)).toBe(
      [
        'UNSAFE TABLE  BECAUSE OF',
        'app.a         row-security, unique-key ×2',
        'app.b         row-security, unique-key',
        'app.c         row-security, unique-key',
        '',
        'CHECK         IS      TABLES  FOR EXAMPLE',
        'row-security  unsafe       3  app.a: row-security is wrong.',
        'unique-key    unsafe       3  app.a: unique-key is wrong.',
        'slow          advice       1  app.b: slow is wrong.',
        '',
        '"shardgate adopt" writes a migration that mends 16 of these. "shardgate doctor --full" tells each with its SQL.',
        '',
      ].join('\n'),
    )
    expect(say(MANY, true).match(/mend app/g)).toHaveLength(MANY.length)
  })

  it('of many tells whole what is about no table, what takes a person, and where shards differ', () => {
    const { table: _, ...shardWide } = of('shard-b', '', 'role-member')
    const { adopt: __, ...byHand } = of('shard-b', 'app.d', 'tenant-type')
    const said = say([...MANY, shardWide, byHand, of('shard-b', 'app.c', 'foreign-key')])
    expect(said).toMatch(
      /^unsafe {2}shard-b {2}role-member\n.*\n {4}mend ;\n\nunsafe {2}shard-b {2}app\.d {2}tenant-type/,
    )
    expect(said).toContain(
      'app.c         shard-a           row-security, unique-key\napp.c         shard-b           row-security, unique-key, foreign-key\n',
    )
  })
})
