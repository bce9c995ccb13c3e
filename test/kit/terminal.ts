/** A terminal without colours that keeps what a command prints, for tests that run commands in their own process. */

import type { Terminal } from '../../src/commands/print.ts'

export interface Printing {
  readonly terminal: Terminal
  readonly printed: { out: string; err: string }
}

/** @param ask  answers the questions of the command; without it there is nobody to ask */
export function printing(ask?: (question: string) => Promise<boolean>): Printing {
  const printed = { out: '', err: '' }
  const terminal = {
    out: (text: string): void => {
      printed.out += text
    },
    err: (text: string): void => {
      printed.err += text
    },
    colour: false,
    ...(ask && { ask }),
  }
  return { terminal, printed }
}
