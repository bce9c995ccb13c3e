/** Values for the fuzz: foreign ones reach for rows and are never stored, ghosts have everybody's form. */

import { expect, it } from 'vitest'
import { canary, scanner } from './canary.ts'
import type { Place } from './operations.ts'
import { seededRandom } from './random.ts'
import { worldValues } from './world-rows.ts'
import { GHOST, ghostly, harvest, type TenantPool, worldSource } from './world-source.ts'

const pool = (tenant: string): TenantPool => ({
  canary: canary(tenant),
  values: worldValues(canary(tenant), 5),
  ids: [Buffer.from(JSON.stringify(['Project', String(canary(tenant).number(1))])).toString('base64url')],
  cursors: [Buffer.from(JSON.stringify(['mark', canary(tenant).text('t')])).toString('base64url')],
})
const [acme, globex] = [pool('acme'), pool('globex')]
const random = seededRandom(1)
const draw = (place: Omit<Place, 'operation'>, operation: Place['operation'] = 'query') => {
  const source = worldSource(acme, [globex])
  return Array.from({ length: 300 }, () => JSON.stringify(source({ ...place, operation }, random)) ?? '')
}
const isForeign = (text: string) => scanner(['acme', 'globex']).scan('acme', text).length > 0

it.each([
  ['ID', ['node', 'id']],
  ['String', ['tasks', 'filter', 'title', 'eq']],
  ['BigInt', ['projects', 'filter', 'rowId', 'in']],
  ['UUID', ['invoices', 'filter', 'rowId', 'eq']],
  ['Decimal', ['projects', 'filter', 'share', 'eq']],
  ['Bytes', ['projects', 'filter', 'logo', 'eq']],
])('reaches for own and foreign rows: %s at %j', (type, path) => {
  const values = draw({ type, path })
  const foreign = values.filter(isForeign)
  expect(foreign.length).toBeGreaterThan(100)
  expect(foreign.length).toBeLessThan(250)
})

it('gives cursors of both, and not often', () => {
  const values = draw({ type: 'String', path: ['tasks', 'after'] }).filter(Boolean)
  expect(values.length).toBeGreaterThan(20)
  expect(values.length).toBeLessThan(120)
  expect(values.some(isForeign)).toBe(true)
})

it('gives ids that fit the field, mostly', () => {
  const other = Buffer.from('["Task","1"]').toString('base64url')
  const two = { ...acme, ids: [...acme.ids, other] }
  const source = worldSource(two, [two])
  const drawn = Array.from({ length: 300 }, () =>
    source({ type: 'ID', path: ['deleteTask', 'id'], operation: 'mutation' }, random),
  )
  expect(drawn.filter((id) => id === other).length).toBeGreaterThan(240)
})

it('writes own values only, but for keys that refer to a row', () => {
  for (const type of ['String', 'BigInt', 'Decimal', 'UUID', 'Bytes', 'JSON']) {
    expect(draw({ type, path: ['createProject', 'input', 'rowId'] }, 'mutation').filter(isForeign)).toEqual(
      [],
    )
  }
  expect(
    draw({ type: 'BigInt', path: ['createTask', 'input', 'projectId'] }, 'mutation').some(isForeign),
  ).toBe(true)
})

it('collects ids and cursors wherever an answer has them', () => {
  const into = { ...acme, ids: [], cursors: [] }
  harvest(into, {
    data: {
      f1: { edges: [{ cursor: 'c1', node: { id: 'i1', title: 'no' } }], pageInfo: { endCursor: 'c2' } },
      f2: { __typename: 'Task', Task_id: 'i2', projectId: 'no' },
    },
  })
  expect(into.ids).toEqual(['i1', 'i2'])
  expect(into.cursors).toEqual(['c1', 'c2'])
})

it("turns every tag into the ghost's, of the same length, and leaves the rest alone", () => {
  const text = JSON.stringify({
    a: globex.canary.text('x'),
    b: globex.canary.number(3),
    c: globex.canary.uuid(4),
    d: globex.ids,
    e: globex.cursors,
    f: acme.ids,
    g: `\\x${Buffer.from(globex.canary.text('y')).toString('hex')}`,
  })
  const ghost = ghostly(text, [globex.canary])
  expect(ghost).toHaveLength(text.length)
  expect(
    scanner(['globex'])
      .scan(null, ghost)
      .filter(({ tenant }) => tenant === 'globex'),
  ).toEqual([])
  expect(
    scanner([GHOST.tenant])
      .scan(null, ghost)
      .filter(({ tenant }) => tenant === GHOST.tenant),
  ).toHaveLength(6)
  expect(ghost).toContain(acme.ids[0])
})
