/**
 * Whole answers: everything a server sends for one batch, up to and with its ReadyForQuery. The proxy
 * hands them to an `Answerer` before they pass, so that a test can mix answers up and see whether
 * anybody notices.
 */

import type { Message } from './wire-messages.ts'

export interface Answer {
  readonly connection: number
  /** SQL of the batch that this answers, a text for each Query or Bind. */
  readonly statements: readonly string[]
  readonly bytes: Buffer
}

export type AnswerMatch = (answer: Answer) => boolean

/** Returns the bytes to send instead, now or later; undefined lets the answer pass. */
export type Answerer = (answer: Answer) => Buffer | Promise<Buffer> | undefined

/** An answerer that works once, and a promise for the moment it has. */
export interface Trick {
  readonly answerer: Answerer
  readonly done: Promise<void>
}

/** Holds the first answer that `first` matches until another connection has one for `second`; each gets the other's. */
export function swapper(first: AnswerMatch, second: AnswerMatch): Trick {
  const { promise: done, resolve: finish } = Promise.withResolvers<void>()
  let held: { answer: Answer; send: (bytes: Buffer) => void } | undefined
  let over = false
  const answerer: Answerer = (answer) => {
    if (over) return undefined
    if (!held) {
      if (!first(answer)) return undefined
      return new Promise((send) => {
        held = { answer, send }
      })
    }
    if (!second(answer)) return undefined
    over = true
    held.send(answer.bytes)
    finish()
    return held.answer.bytes
  }
  return { answerer, done }
}

/**
 * Keeps the first answer that `first` matches until its connection has one for `second`, and sends that one first: of
 * two batches in flight on one connection each gets the other's answer.
 */
export function crosser(first: AnswerMatch, second: AnswerMatch): Trick {
  const { promise: done, resolve: finish } = Promise.withResolvers<void>()
  let held: Answer | undefined
  let over = false
  const answerer: Answerer = (answer) => {
    if (over) return undefined
    if (!held) {
      if (!first(answer)) return undefined
      held = answer
      return Buffer.alloc(0)
    }
    if (answer.connection !== held.connection || !second(answer)) return undefined
    over = true
    finish()
    return Buffer.concat([answer.bytes, held.bytes])
  }
  return { answerer, done }
}

/** Remembers the bytes of the first answer that `record` matches, and sends them for the next that `onto` matches. */
export function replayer(record: AnswerMatch, onto: AnswerMatch): Trick {
  const { promise: done, resolve: finish } = Promise.withResolvers<void>()
  let recorded: Buffer | undefined
  let over = false
  const answerer: Answerer = (answer) => {
    if (over) return undefined
    if (!recorded) {
      if (record(answer)) recorded = answer.bytes
      return undefined
    }
    if (!onto(answer)) return undefined
    over = true
    finish()
    return recorded
  }
  return { answerer, done }
}

/** Pairs the batches a connection asks with the answers it gets: Postgres answers in order. */
export interface BatchTracker {
  /** Note a message on its way to the server. */
  asked(message: Message): void
  /**
   * Note a message on its way back. 'pass' it on; 'kept' it is part of an answer that is being gathered;
   * or the whole answer, when this message ends it.
   */
  answered(message: Message, gather: boolean): 'pass' | 'kept' | Answer
}

export function batchTracker(): BatchTracker {
  const batches: string[][] = []
  let asking: string[] = []
  let ready = false // the first ReadyForQuery ends the log-in, not a batch
  let kept: Buffer[] | undefined
  let fresh = false // at the start of an answer: only from here can one be gathered whole
  return {
    asked({ type, text }) {
      if (type === 'Query' || type === 'Bind') asking.push(text ?? '')
      if (type !== 'Query' && type !== 'Sync') return
      batches.push(asking)
      asking = []
    },
    answered({ type, bytes, connection }, gather) {
      if (fresh && gather) kept = []
      fresh = type === 'ReadyForQuery'
      kept?.push(bytes)
      if (!fresh) return kept ? 'kept' : 'pass'
      const statements = ready ? (batches.shift() ?? []) : []
      ready = true
      if (!kept) return 'pass'
      const answer = { connection, statements, bytes: Buffer.concat(kept) }
      kept = undefined
      return answer
    },
  }
}
