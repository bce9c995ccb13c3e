/** Which lane of the gateway has answered, as its log says: a comparison of the wrong one would be worth nothing. */

import { readFileSync } from 'node:fs'
import { DOCUMENTS, type OperationName } from './operations.ts'

/** A line for the report: 'Q1 compiled, Q6 resolver'. */
export function lanesLine(logFile: string, operations: readonly OperationName[]): string {
  const lines = readFileSync(logFile, 'utf8').split('\n')
  const lanes = operations.map((name) => {
    const [, title = ''] = /^\w+ (\w+)/.exec(DOCUMENTS.shardgate[name]) ?? []
    const line = lines.findLast((text) => text.includes(`"operation":"${title}"`)) ?? ''
    return `${name} ${/"lane":"(\w+)"/.exec(line)?.[1] ?? 'unknown'}`
  })
  return `lanes of Shardgate: ${lanes.join(', ')}`
}
