/**
 * The counters of all gateways together, in Redis: one script, one round trip, by the clock of Redis.
 *
 * What it grants is a lease: units that are counted already, and that a gateway may hand out on its own until the slice
 * ends in which they were counted. Thus no gateway has to be asked how much of a window it has used, and none needs a
 * clock that is right. What is left of a lease comes back with the next question, and is as if never taken. While less
 * than a quarter of a window is used, they are counted in a slice to come: the lease lasts for five, and tenants that are
 * far from their limits cost Redis a fifth.
 *
 * Redis may lose the counters (FLUSHALL, an eviction, a restart without a file). `born` tells one life of them from the
 * next: who comes with another one is told so, and brings what it has accepted itself.
 */

import type { Redis } from '../../db/redis.ts'
import { monthsAround, type Pair, type Rates } from './counts.ts'
import { CALM_SLICES, COUNTED, SLICE_MS } from './window.ts'

export interface Question extends Rates {
  /** Which life of the counters the asker knows; '' where it knows of none. */
  readonly born: string
  /** Units that somebody waits for. */
  readonly need: Pair
  /** Units that may be wanted soon: they are granted as far as a quarter of what is left, so that the last are shared. */
  readonly want: Pair
  /** The fewest that one of those who wait is waiting for: where not even they are left, nothing is granted. */
  readonly least: Pair
  /** Units of a lease that nobody has taken, and the slice in which they count. */
  readonly unused: Pair
  readonly unusedIn: number
  /** What was accepted without a lease, with its age in milliseconds. */
  readonly told: readonly (readonly [ageMs: number, requests: number, cost: number])[]
  /** What of that the month does not know. */
  readonly toldMonth: Pair
  /** Units of this month as the ledger has them, for counters that do not know. */
  readonly seed?: Pair | undefined
}

export interface Answer {
  readonly born: string
  /** The counters are others than the asker knows: nothing was counted, and nothing granted. */
  readonly isLost: boolean
  /** The slice in which what is granted counts, by the clock of Redis. */
  readonly slice: number
  /** Milliseconds until it ends, and the lease with it. */
  readonly endsInMs: number
  /** Milliseconds for which what is left may pass for true: until the slice of now ends. */
  readonly freshMs: number
  /** Units that may be taken: as many as are needed, or all that are left. */
  readonly granted: Pair
  /** Units of the window that are left for others; UNLIMITED. */
  readonly left: Pair
  /** Milliseconds until `least` units fit into the window again; 0 where they do. */
  readonly retryMs: Pair
  /** Units of this month, those that are granted among them. */
  readonly month: Pair
  /** Whether the month has begun without a look at the ledger. */
  readonly isUnseeded: boolean
}

export interface SharedCounts {
  readonly isUp: boolean
  /** Undefined where Redis has not answered. Never throws. */
  ask(tenant: string, question: Question): Promise<Answer | undefined>
}

export interface SharedCountsOptions {
  readonly redis: Pick<Redis, 'isUp' | 'script' | 'prefix'>
  /** Different for each gateway. */
  readonly gateway: string
  /** Unix milliseconds in place of the clock of Redis: for tests, which own the time. */
  readonly now?: () => number
}

export function sharedCounts({ redis, gateway, now }: SharedCountsOptions): SharedCounts {
  const run = redis.script(SCRIPT)
  let asked = 0
  return {
    get isUp() {
      return redis.isUp
    },
    async ask(tenant, question) {
      const wall = now?.() ?? Date.now()
      const ask = {
        ...question,
        now: now ? wall : -1,
        sliceMs: SLICE_MS,
        counted: COUNTED,
        calmSlices: CALM_SLICES,
        nonce: `${gateway}:${++asked}`,
        // Redis decides which of them it is; a clock here may be wrong by weeks.
        months: monthsAround(wall).map(String),
      }
      const key = `${redis.prefix}:limit:{${tenant}}`
      const reply = await run([key, `${key}:month`], [JSON.stringify(ask)])
      return Array.isArray(reply) ? answerOf(reply) : undefined
    },
  }
}

function answerOf([born, ...numbers]: unknown[]): Answer {
  const [isLost, isUnseeded, slice = 0, freshMs = 0, endsInMs = 0, ...pairs] = numbers.map(Number)
  const [requests = 0, cost = 0, ...rest] = pairs
  const [left = 0, costLeft = 0, retry = 0, costRetry = 0, month = 0, costMonth = 0] = rest
  return {
    born: String(born),
    isLost: isLost === 1,
    isUnseeded: isUnseeded === 1,
    slice,
    freshMs,
    endsInMs,
    granted: [requests, cost],
    left: [left, costLeft],
    retryMs: [retry, costRetry],
    month: [month, costMonth],
  }
}

/**
 * KEYS[1]  a hash: born, first (the oldest slice that it still holds), sum1, sum2, and units by meter and slice
 * KEYS[2]  a hash: month, 1, 2, seeded
 *
 * A question looks at the slices that have ended since the last one, so what it costs does not hang on the size of the
 * window; all of them are looked at where a window is full, to say when there is room again.
 */
const SCRIPT = `
local ask = cjson.decode(ARGV[1])
local now = ask.now
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local slice = math.floor(now / ask.sliceMs)
local oldest = slice - ask.counted + 1
local ends_in = (slice + 1) * ask.sliceMs - now

local born, first = unpack(redis.call('HMGET', KEYS[1], 'born', 'first'))
first = tonumber(first or oldest)
if not born or first > oldest + 1 then -- none there, or time has gone back
  redis.call('DEL', KEYS[1])
  born, first = ask.nonce, oldest
  redis.call('HSET', KEYS[1], 'born', born)
end
redis.call('PEXPIRE', KEYS[1], (ask.counted + 10) * ask.sliceMs)
if ask.born ~= '' and ask.born ~= born then
  redis.call('HSETNX', KEYS[1], 'first', first)
  return {born, 1}
end

local function units_in(meter, from, to)
  local names = {}
  for b = from, to do names[#names + 1] = meter .. ':' .. b end
  if #names == 0 then return {}, {} end
  return redis.call('HMGET', KEYS[1], unpack(names)), names
end

local sums = {}
for meter = 1, 2 do
  local units, names = units_in(meter, first, math.min(oldest - 1, first + ask.counted + ask.calmSlices))
  local gone = 0
  for i = 1, #units do gone = gone + (tonumber(units[i]) or 0) end
  if gone > 0 then redis.call('HDEL', KEYS[1], unpack(names)) end
  sums[meter] = redis.call('HINCRBY', KEYS[1], 'sum' .. meter, 0 - gone) -- "-0" is no number to Redis
end
redis.call('HSET', KEYS[1], 'first', math.max(first, oldest))

local function count(meter, at, units)
  if units == 0 or at < oldest then return end
  local name = meter .. ':' .. at
  if units < 0 then units = math.max(units, 0 - (redis.call('HGET', KEYS[1], name) or 0)) end
  redis.call('HINCRBY', KEYS[1], name, units)
  sums[meter] = redis.call('HINCRBY', KEYS[1], 'sum' .. meter, units)
end

local months, has_months, unseeded = {0, 0}, ask.perMonth[1] >= 0 or ask.perMonth[2] >= 0, 0
local function count_month(meter, units)
  if not has_months or units == 0 then return end
  months[meter] = redis.call('HINCRBY', KEYS[2], meter, math.max(units, 0 - months[meter]))
end
if has_months then
  local month = ''
  for i = 1, #ask.months do if tonumber(ask.months[i]) <= now then month = ask.months[i] end end
  local kept = redis.call('HMGET', KEYS[2], 'month', '1', '2', 'seeded')
  if kept[1] ~= month then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'month', month)
    kept = {}
  end
  redis.call('PEXPIRE', KEYS[2], 40 * 86400000)
  months = {tonumber(kept[2] or 0), tonumber(kept[3] or 0)}
  if ask.seed and not kept[4] then
    for meter = 1, 2 do count_month(meter, ask.seed[meter]) end
    redis.call('HSET', KEYS[2], 'seeded', 1)
  elseif not kept[4] then unseeded = 1 end
end

for meter = 1, 2 do
  count(meter, ask.unusedIn, -ask.unused[meter])
  count_month(meter, ask.toldMonth[meter] - ask.unused[meter])
end
for _, told in ipairs(ask.told) do
  local at = math.floor((now - told[1]) / ask.sliceMs)
  count(1, at, told[2])
  count(2, at, told[3])
end

local function ms_until_fits(meter, most)
  local units, left = units_in(meter, oldest, slice + ask.calmSlices), sums[meter]
  for i = 1, #units do
    left = left - (tonumber(units[i]) or 0)
    if left <= most then return (oldest + i - 1 + ask.counted) * ask.sliceMs - now end
  end
  return ask.counted * ask.sliceMs
end

-- Who is far from all limits is given more at once, and asks less often. It counts to the end of the lease.
local more = ask.calmSlices
if ask.need[1] + ask.need[2] == 0 then more = 0 end
for meter = 1, 2 do
  local limit, quota = ask.perMinute[meter], ask.perMonth[meter]
  if limit >= 0 and 4 * sums[meter] > limit then more = 0 end
  if quota >= 0 and 4 * months[meter] > quota then more = 0 end
end

local granted, left, retry = {0, 0}, {-1, -1}, {0, 0}
for meter = 1, 2 do
  local limit, quota = ask.perMinute[meter], ask.perMonth[meter]
  local room = math.huge
  if limit >= 0 then room = limit - sums[meter] end
  if quota >= 0 then room = math.min(room, quota - months[meter]) end
  if room < math.huge then
    local need, want = ask.need[meter], ask.want[meter] * (more + 1)
    if room >= ask.least[meter] then
      granted[meter] = math.min(room, math.max(need, math.min(want, math.floor(room / 4))))
    end
    count(meter, slice + more, granted[meter])
    count_month(meter, granted[meter])
  end
  if limit >= 0 then
    left[meter] = math.max(0, limit - sums[meter])
    if left[meter] < ask.least[meter] then retry[meter] = ms_until_fits(meter, limit - ask.least[meter]) end
  end
end

return {
  born, 0, unseeded, slice + more, ends_in, ends_in + more * ask.sliceMs,
  granted[1], granted[2], left[1], left[2], retry[1], retry[2], months[1], months[2],
}
`
