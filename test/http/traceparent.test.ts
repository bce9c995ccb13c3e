/** The contract of http/traceparent.ts: the W3C's rules, and nothing that is not well formed. */

import { expect, it } from 'vitest'
import { remoteSpan } from '../../src/http/traceparent.ts'

const [TRACE, SPAN] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']

it.each([
  ['recorded', `00-${TRACE}-${SPAN}-01`, 1],
  ['not recorded', `00-${TRACE}-${SPAN}-00`, 0],
  ['with flags that mean nothing yet', `00-${TRACE}-${SPAN}-f3`, 1],
  ['of a later version', `cc-${TRACE}-${SPAN}-01`, 1],
  ['of a later version that says more', `cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, 1],
])('is taken: %s', (_, header, traceFlags) => {
  expect(remoteSpan(header)).toEqual({ traceId: TRACE, spanId: SPAN, traceFlags })
})

it.each([
  ['not there', undefined],
  ['empty', ''],
  ['several', [`00-${TRACE}-${SPAN}-01`]],
  ['twice in one', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ['of the version that is none', `ff-${TRACE}-${SPAN}-01`],
  ['longer than its version', `00-${TRACE}-${SPAN}-01-more`],
  ['longer without a dash', `cc-${TRACE}-${SPAN}-01more`],
  ['in capitals', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['without a trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['without a span', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['too short', `00-${TRACE.slice(1)}-${SPAN}-01`],
  ['no hexadecimal', `00-${TRACE.replace('0', 'g')}-${SPAN}-01`],
  ['broken by a line', `00-${TRACE}-${SPAN}-01\n`],
  ['SQL', "00-'; drop table tasks --"],
])('is ignored: %s', (_, header) => {
  expect(remoteSpan(header)).toBeUndefined()
})
