/** Canaries and their scanner: found through every disguise, and never where there is none. */

import { describe, expect, it } from 'vitest'
import { canary, scanner } from './canary.ts'
import { seededRandom } from './random.ts'

const acme = canary('acme')
const globex = canary('globex')
const foreign = (text: string | Uint8Array) => scanner(['acme', 'globex']).scan('acme', text)

describe('canary', () => {
  it('is the same again for the same tenant, and another for another', () => {
    expect(canary('acme').text(1)).toBe(acme.text(1))
    const tags = Array.from({ length: 5_000 }, (_, i) => canary(`tenant-${i}`))
    expect(new Set(tags.map((it) => it.tag)).size).toBe(5_000)
    expect(new Set(tags.map((it) => String(it.number(0)))).size).toBe(5_000)
    expect(new Set(tags.map((it) => it.uuid(0))).size).toBe(5_000)
  })

  it('makes numbers that bigint and JavaScript both hold exactly', () => {
    for (let i = 0; i < 5_000; i++) {
      const number = canary(`tenant-${i}`).number(999_999)
      expect(Number.isSafeInteger(number)).toBe(true)
      expect(String(number)).toHaveLength(16)
    }
  })

  it('refuses numbers that would run into the tag', () => {
    expect(() => acme.number(1_000_000)).toThrow(RangeError)
    expect(() => acme.number(-1)).toThrow(RangeError)
  })
})

describe('scanner', () => {
  it('lets the owner see its own', () => {
    expect(foreign(JSON.stringify([acme.text('a'), acme.number(1), acme.uuid(1)]))).toEqual([])
  })

  it.each([
    ['text', globex.text('x'), 'text'],
    ['upper-case text', globex.text('x').toUpperCase(), 'text'],
    ['a number', `{"total":${globex.number(12)}}`, 'number'],
    ['a number as text', `"${globex.number(12)}"`, 'number'],
    ['an exact decimal', `${globex.number(12)}.25`, 'number'],
    [
      'a float as Postgres writes it',
      `${globex.number(120_001)}`.replace(/^(.)/, '$1.').concat('e+15'),
      'number',
    ],
    ['a uuid', `/tickets/${globex.uuid(3)}`, 'uuid'],
    ['bytea', `\\x00${Buffer.from(globex.text('x')).toString('hex')}`, 'text'],
    ['a cursor', `"${Buffer.from(JSON.stringify(['t', globex.number(7)])).toString('base64url')}"`, 'number'],
    ['a node id', `"${Buffer.from(`Ticket:${globex.uuid(7)}`).toString('base64')}"`, 'uuid'],
    [
      'a cursor behind a prefix',
      `v1-${Buffer.from(`["${globex.text('y')}"]`).toString('base64url')}`,
      'text',
    ],
    ['double base64', btoa(btoa(`[${globex.text('y')}]`)), 'text'],
    ['a message of Postgres', `duplicate key: Key (subject)=(${globex.text('z')}) exists`, 'text'],
  ])('finds %s of another tenant', (_, text, kind) => {
    expect(foreign(text)).toMatchObject([{ tenant: 'globex', kind }])
    expect(foreign(Buffer.from(text))).toMatchObject([{ tenant: 'globex', kind }])
  })

  it('finds it between any bytes', () => {
    const random = seededRandom(1)
    const bytes = Buffer.concat([random.bytes(500), Buffer.from(globex.text('x')), random.bytes(500)])
    expect(foreign(bytes)).toHaveLength(1)
  })

  it('finds a tenant that it was not told of', () => {
    expect(foreign(canary('initech').text(1))).toMatchObject([{ tenant: expect.stringContaining('unknown') }])
  })

  it('takes every tag for foreign where nobody owns the text', () => {
    expect(scanner(['acme']).scan(null, acme.text(1))).toHaveLength(1)
  })

  it('finds nothing in what looks like it: times, random ids, random digits', () => {
    const random = seededRandom(2)
    const digits = (length: number) => Array.from({ length }, () => random.int(10)).join('')
    const texts = Array.from({ length: 2_000 }, () =>
      [
        Date.now(),
        Date.now() * 1000,
        digits(16),
        digits(40),
        crypto.randomUUID(),
        random.bytes(30).toString('base64'),
      ].join(' '),
    )
    expect(foreign(texts.join('\n'))).toEqual([])
  })

  it('counts what it looked at and what it found', () => {
    const scan = scanner(['acme', 'globex'])
    scan.scan('acme', 'nothing')
    scan.scan('acme', globex.text(1))
    expect([scan.texts, scan.total]).toEqual([2, 1])
    expect(scan.bytes).toBeGreaterThan(7)
  })
})
