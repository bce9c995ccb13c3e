/** The contract of graphql/permissions/shield.ts: graphql-shield loads on this Node, and only what works is passed on. */

import { describe, expect, it } from 'vitest'
import * as shield from '../../src/graphql/permissions/shield.ts'

describe(`graphql-shield on Node ${process.version}`, () => {
  it('loads, and its rules resolve', async () => {
    const { rule, and, or, not, allow, deny } = shield
    const yes = rule('yes')(() => true)
    const made = and(or(deny, yes), not(deny), allow)
    const options = { debug: true, allowExternalErrors: true, fallbackRule: deny, hashFunction: () => '' }
    expect(await made.resolve({}, {}, { _shield: { cache: {} } }, {} as never, options)).toBe(true)
  })

  it('keeps back what throws when it runs, and what wraps a schema', () => {
    expect(Object.keys(shield).sort()).toEqual(['allow', 'and', 'deny', 'not', 'or', 'rule'])
  })
})
