/**
 * Errors that the executor loses. Where an item of a list fails at once, it gives the list up and forgets the items
 * before it that are still under way; if one of those fails too, nobody waits for it, and Node would end the process:
 * one query, and the requests of all tenants with it. graphql-js 16.15 does so as well as Yoga's executor 2.1.
 *
 * The answer has told of the failure that ended the list, so that nothing is kept from anybody.
 */

import { GraphQLError } from 'graphql'
import type { Emit } from '../base/events.ts'
import { finishErrors } from './errors.ts'

/**
 * Hear of lost errors, and let the log know of those that are faults of our own. Any other rejection that nobody waits
 * for ends the process as ever: the executor gives each of its errors a place, and thereby makes it a GraphQLError.
 *
 * @returns  stops hearing of them
 */
export function hearLostErrors(emit: Emit): () => void {
  const hear = (reason: unknown): void => {
    if (!(reason instanceof GraphQLError)) throw reason
    finishErrors([reason], { requestId: 'lost', emit })
  }
  process.on('unhandledRejection', hear)
  return () => void process.off('unhandledRejection', hear)
}
