/**
 * Callers that wait for room, where one is as good as another: all are woken when there may be some, in the order in
 * which they came, and who finds none waits on. Between tenants, shards/fair-queue.ts decides whose turn it is.
 */

import { GatewayError } from '../base/errors.ts'
import type { Deadline } from '../base/time.ts'

export interface WaitingLineOptions {
  /** Callers that may wait; the next one is refused. */
  readonly max: number
  /** What a caller is told who may not wait, or has waited until his deadline. */
  readonly sentence: string
}

export class WaitingLine {
  readonly #options: WaitingLineOptions
  readonly #turns = new Set<() => void>()

  constructor(options: WaitingLineOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#turns.size
  }

  /** @throws OVERLOADED  the line is full, or the deadline passed */
  wait(deadline: Deadline): Promise<void> {
    if (this.#turns.size >= this.#options.max || deadline.remainingMs() === 0)
      return Promise.reject(this.#overloaded())
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#turns.delete(turn)
        reject(this.#overloaded())
      }, deadline.remainingMs())
      this.#turns.add(turn)
    })
  }

  wake(): void {
    if (this.#turns.size === 0) return
    const turns = [...this.#turns]
    this.#turns.clear()
    for (const turn of turns) turn()
  }

  #overloaded(): GatewayError {
    return new GatewayError('OVERLOADED', this.#options.sentence, { waiting: this.#turns.size })
  }
}
