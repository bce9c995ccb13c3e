/** The contract of base/nearest.ts: slips are seen through, other words are left alone. */

import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/base/nearest.ts'

const KEYS = ['url', 'ownerUrl', 'weight', 'pageSize', 'pageSizeDefault', 'requestMs', 'rows']

describe('nearest', () => {
  it.each([
    ['wieght', 'weight'],
    ['pagesize', 'pageSize'],
    ['page_size', 'pageSize'],
    ['pageSizeDefaults', 'pageSizeDefault'],
    ['requestMS', 'requestMs'],
    ['ur', 'url'],
    ['row', 'rows'],
    ['owner-url', 'ownerUrl'],
  ])('%s is %s', (word, meant) => {
    expect(nearest(word, KEYS)).toBe(meant)
  })

  it.each(['', 'x', 'secret', 'timeout', 'toString', 'page'])('%j is none of them', (word) => {
    expect(nearest(word, KEYS)).toBeUndefined()
  })
})
