/** The contract of kit/promql.ts: what it reads, and that a name that is misspelt anywhere is found. */

import { describe, expect, it } from 'vitest'
import { readPromql, readScrape, strangersIn } from './promql.ts'

const SCRAPE = readScrape(`# HELP a_seconds x
# TYPE a_seconds histogram
a_seconds_bucket{le="0.1",shard="shard-a",lane="compiled"} 3
a_seconds_count{shard="shard-a",lane="compiled"} 3
# TYPE up_now gauge
up_now{shard="shard-a"} 1
plain_total 5
# TYPE nothing_yet counter
`)

describe('a scrape', () => {
  it('has families with their types, and series with their labels', () => {
    expect(SCRAPE.families).toEqual(
      new Map([
        ['a_seconds', 'histogram'],
        ['up_now', 'gauge'],
        ['nothing_yet', 'counter'],
      ]),
    )
    expect([...SCRAPE.series.keys()]).toEqual([
      'a_seconds_bucket',
      'a_seconds_count',
      'up_now',
      'plain_total',
    ])
    expect(SCRAPE.series.get('a_seconds_bucket')?.get('lane')).toEqual(new Set(['compiled']))
  })
})

describe('an expression', () => {
  it('is read with its selectors and its groups', () => {
    const text =
      'histogram_quantile(0.99, sum by (le, shard) (rate(a_seconds_bucket{lane="compiled",job=~"x|y"}[5m]))) > 1'
    expect(readPromql(text)).toEqual({
      selectors: [
        {
          metric: 'a_seconds_bucket',
          matchers: [
            { label: 'lane', sign: '=', value: 'compiled' },
            { label: 'job', sign: '=~', value: 'x|y' },
          ],
        },
      ],
      grouped: ['le', 'shard'],
    })
  })

  it.each([
    'sum by (shard) (rate(a_seconds_count{lane="compiled"}[$__rate_interval])) / sum(rate(plain_total[5m]))',
    'max by (shard) (up_now{shard=~"$shard"}) == 0 or vector(0)',
    'absent(up{job="x"} == 1)',
    'a_seconds_count - on (shard) group_left (lane) up_now',
  ])('passes when all its names are there: %s', (text) => {
    expect(strangersIn(text, SCRAPE)).toEqual([])
  })

  it.each([
    ['a metric', 'sum(rate(plain_totl[5m]))', 'no metric plain_totl'],
    ['a family without a series', 'nothing_yet', 'no metric nothing_yet'],
    ['a histogram without its part', 'rate(a_seconds[5m])', 'no metric a_seconds'],
    ['a label', 'up_now{shrad="shard-a"}', 'no label shrad of up_now'],
    ['a value', 'up_now{shard="shard-z"}', 'no shard="shard-z" of up_now'],
    ['a group', 'sum by (shrad) (up_now)', 'no label shrad'],
    ['a label of another metric', 'sum by (lane) (up_now)', 'no label lane'],
  ])('fails for %s that is not there', (_, text, fault) => {
    expect(strangersIn(text, SCRAPE)).toEqual([`${fault}: ${text}`])
  })

  it.each([
    'rat(plain_total[5m])',
    'sum(plain_total',
    'sum plain_total)',
    'plain_total[5x]',
    '{shard="a"}',
    'a_seconds_count{lane}',
    'a ; b',
  ])('that is none is refused: %s', (text) => {
    expect(() => strangersIn(text, SCRAPE)).toThrow()
  })
})
