/** Documents that no server has seen before: Q3 with columns and names of its own. */

import { type Dialect, DOCUMENTS } from './operations.ts'

const COLUMNS = ['priority', 'authorId', 'assigneeId', 'createdAt', 'updatedAt'] as const

/** Q3 with other aliases for each number, and with other columns for each of 64. */
export function variantOfQ3(dialect: Dialect, number: number): string {
  const columns = COLUMNS.filter((_, bit) => (number >> bit) & 1).join(' ')
  return DOCUMENTS[dialect].Q3.replace('rowId subject', `rowId subject${number}: subject ${columns}`)
    .replaceAll('name', `name${number}: name`)
    .replace(
      'rowId body createdAt',
      `rowId body${number}: body${(number >> COLUMNS.length) & 1 ? ' createdAt' : ''}`,
    )
}
