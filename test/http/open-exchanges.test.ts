/** The list of open exchanges: each is in it from its beginning to its end, whatever the order in which they end. */

import { expect, it } from 'vitest'
import type { Exchange } from '../../src/http/exchange.ts'
import { OpenExchanges } from '../../src/http/open-exchanges.ts'
import { runRandom } from '../kit/random.ts'

it('holds those that are open, and no others', () => {
  const random = runRandom()
  const open = new OpenExchanges()
  const known = new Map<string, () => void>()
  for (let i = 0; i < 2_000; i++) {
    const [requestId, close] = random.pick([...known, [`${i}`, undefined] as const])
    if (close && random.chance(0.6)) {
      close()
      known.delete(requestId)
    } else known.set(`${i}`, open.add({ requestId: `${i}` } as Exchange))
    expect([...open].map((exchange) => exchange.requestId).sort()).toEqual([...known.keys()].sort())
  }
  for (const close of known.values()) close()
  expect([...open]).toEqual([])
})
