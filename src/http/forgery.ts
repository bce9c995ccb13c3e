/**
 * Requests that a foreign page can send without asking the browser's leave (GET, forms) need a header that it
 * cannot set.
 */

import type { IncomingMessage } from 'node:http'
import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention'
import type { Plugin } from 'graphql-yoga'
import { fail } from '../base/errors.ts'

const HEADERS = ['x-graphql-yoga-csrf', 'apollo-require-preflight']

/** The library refuses with 403 and no code; ours says what to send. */
export function forgeryPlugin(): Plugin {
  const library = useCSRFPrevention({ requestHeaders: HEADERS })
  return {
    onRequestParse(payload) {
      try {
        return library.onRequestParse?.(payload)
      } catch {
        const sentence = 'A foreign page could send this; add the header "x-graphql-yoga-csrf: 1" to it.'
        return fail('BAD_REQUEST', sentence, { header: 'x-graphql-yoga-csrf' })
      }
    },
  }
}

const JSON_TYPE = /^application\/(graphql\+)?json/i

/** Whether the plugin is sure to let the request pass. Of what is not that plain, the plugin decides. */
export function isUnforged({ method, headers }: IncomingMessage): boolean {
  if (method === 'POST') return JSON_TYPE.test(headers['content-type'] ?? '')
  return method === 'GET' && HEADERS.some((name) => headers[name])
}
