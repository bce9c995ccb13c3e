/** What a test tells the proxy to do to messages and bytes: rules that match, and limits that count. */

import type { Verdict } from './wire-lane.ts'
import type { Direction, Message } from './wire-messages.ts'

export type MessageMatch = (message: Message) => boolean

/**
 * 'cut' ends the connection before the message passes, 'cut-inside' after half of it has. 'hold' keeps it,
 * and what follows it in its direction, until `release`. A function decides each time and may wait; bytes
 * that it returns are sent instead, and undefined means 'pass'.
 */
export type Action =
  | Exclude<Verdict, Buffer>
  | 'hold'
  | ((message: Message) => Verdict | undefined | Promise<Verdict | undefined>)

export interface Rule {
  /** Messages matched so far. */
  readonly hits: number
  /** Resolves with the first message matched. */
  readonly hit: Promise<Message>
  /** Let go what this rule holds now; later messages are held again. */
  release(): void
  /** Take the rule away and let go what it holds. */
  off(): void
}

export interface RuleSet {
  add(match: MessageMatch, action: Action, times: number): Rule
  /** The verdict of the oldest rule that matches; 'pass' without one. */
  decide(message: Message): Verdict | Promise<Verdict>
  clear(): void
}

interface LiveRule extends Rule {
  decide(message: Message): Verdict | Promise<Verdict> | undefined
}

export function ruleSet(): RuleSet {
  const rules = new Set<LiveRule>()
  return {
    add(match, action, times) {
      const rule = liveRule(match, action, times, () => rules.delete(rule))
      rules.add(rule)
      return rule
    },
    decide(message) {
      for (const rule of rules) {
        const verdict = rule.decide(message)
        if (verdict !== undefined) return verdict
      }
      return 'pass'
    },
    clear() {
      for (const rule of rules) rule.off()
    },
  }
}

function liveRule(match: MessageMatch, action: Action, times: number, remove: () => void): LiveRule {
  const first = Promise.withResolvers<Message>()
  let gate = Promise.withResolvers<void>()
  let hits = 0
  return {
    get hits() {
      return hits
    },
    hit: first.promise,
    release() {
      gate.resolve()
      gate = Promise.withResolvers()
    },
    off() {
      remove()
      gate.resolve()
    },
    decide(message) {
      if (hits >= times || !match(message)) return undefined
      hits++
      first.resolve(message)
      if (action === 'hold') return gate.promise.then(() => 'pass')
      if (typeof action === 'string') return action
      const decided = action(message)
      return decided instanceof Promise ? decided.then((verdict) => verdict ?? 'pass') : (decided ?? 'pass')
    },
  }
}

/** Bytes that may still pass in one direction before the connection that carries the last one is cut. */
export interface ByteLimits {
  add(bytes: number, direction: Direction): Promise<void>
  /** How many of `length` bytes may pass, when a cut is due within them; else Infinity. */
  allowance(direction: Direction, length: number): number
}

export function byteLimits(): ByteLimits {
  const limits = new Set<{ direction: Direction; left: number; reached: () => void }>()
  return {
    add(bytes, direction) {
      const { promise, resolve } = Promise.withResolvers<void>()
      limits.add({ direction, left: bytes, reached: resolve })
      return promise
    },
    allowance(direction, length) {
      let allowed = Number.POSITIVE_INFINITY
      for (const limit of limits) {
        if (limit.direction !== direction) continue
        if (limit.left <= length) {
          allowed = Math.min(allowed, limit.left)
          limits.delete(limit)
          limit.reached()
        }
        limit.left -= length
      }
      return allowed
    },
  }
}
