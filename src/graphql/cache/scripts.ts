/**
 * What Redis does for the cache, each in one step.
 *
 *     <prefix>:cache:generation        a random text; another one makes all that was kept worthless
 *     <prefix>:cache:<tenant>:changed  hash: "born", a random text; "tick"; and for each name its last change
 *     <prefix>:cache:<tenant>:<key>    one answer: a line of JSON about it, and its text
 *
 * An answer counts while generation and birth are what they were when its read began, and nothing that it hangs on has
 * changed since. So nothing that Redis forgets can bring an old answer back: a hash that was thrown away is born anew.
 */

/**
 * KEYS: generation, changed, answer. ARGV: a random text, milliseconds for which `changed` lives on, tenant, key.
 * Gives the stamp, the tick and the time of now, then where there is an answer that counts the answer and the milliseconds
 * that it has left.
 * What is no answer of ours is given as well: whoever asks has to see that.
 */
export const LOOK = `
local generation = redis.call('get', KEYS[1])
if not generation then
  generation = ARGV[1]
  redis.call('set', KEYS[1], generation)
end
local born = redis.call('hget', KEYS[2], 'born')
if not born then
  born = ARGV[1]
  redis.call('hset', KEYS[2], 'born', born, 'tick', 0)
end
redis.call('pexpire', KEYS[2], ARGV[2])
local time = redis.call('time')
local now = {
  generation .. ' ' .. born,
  redis.call('hget', KEYS[2], 'tick'),
  time[1] * 1000 + math.floor(time[2] / 1000)
}
local answer = redis.pcall('get', KEYS[3])
if not answer then return now end
if type(answer) ~= 'string' then return { now[1], now[2], now[3], '', 0 } end
local isOurs, isCurrent = pcall(function()
  local about = cjson.decode(string.sub(answer, 1, string.find(answer, '\\n', 1, true) - 1))
  if about.tenant ~= ARGV[3] or about.key ~= ARGV[4] then error('another answer') end
  if about.stamp ~= now[1] then return false end
  for _, tick in ipairs(redis.call('hmget', KEYS[2], unpack(about.names))) do
    if tick and tonumber(tick) > about.tick then return false end
  end
  return true
end)
if isOurs and not isCurrent then return now end
return { now[1], now[2], now[3], answer, redis.call('pttl', KEYS[3]) }`

/** KEYS: changed. ARGV: milliseconds for which it lives on, names. Where there is no hash, no answer counts anyway. */
export const CHANGE = `
if redis.call('type', KEYS[1]).ok ~= 'hash' then
  redis.call('del', KEYS[1])
  return 0
end
local tick = redis.call('hincrby', KEYS[1], 'tick', 1)
for i = 2, #ARGV do redis.call('hset', KEYS[1], ARGV[i], tick) end
redis.call('pexpire', KEYS[1], ARGV[1])
return tick`

/** KEYS: generation. ARGV: a random text. */
export const RENEW = `
redis.call('set', KEYS[1], ARGV[1])
return 1`
