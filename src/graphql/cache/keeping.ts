/** Of which operations of one API answers are kept, and under which keys. */

import { hash } from 'node:crypto'
import type { VariableDefinitionNode } from 'graphql'
import type { LimitsConfig } from '../../base/config.ts'
import type { Deadline } from '../../base/time.ts'
import { VERSION } from '../../base/version.ts'
import type { Placement } from '../../directory/types.ts'
import type { Table } from '../../model/types.ts'
import type { Identity } from '../../tenant/types.ts'
import type { Tables } from '../plan/types.ts'
import type { AnswerCache, Fresh, Question } from './answers.ts'

/** A request, as far as its answer hangs on it. */
export interface Asking {
  readonly identity: Identity
  readonly placement: Placement
  readonly deadline: Deadline
  /** As they came. */
  readonly variables: Readonly<Record<string, unknown>> | null | undefined
  /** The tenant's own, where they are less than everybody's. */
  readonly limits?: { readonly rows?: number | undefined; readonly answerBytes?: number | undefined }
}

export class Keeping {
  readonly cache: AnswerCache
  /** Of all that is the same for each request: who writes answers, of which tables, within which limits. */
  readonly #mark: string

  constructor(cache: AnswerCache, tables: Tables, limits: LimitsConfig) {
    this.cache = cache
    const { tables: kept, secret } = cache.settings
    this.#mark = digest([VERSION, [...tables.values()], limits, kept, secret])
  }

  /**
   * Whether answers with rows of `table` may be kept. What a view or a policy looks at besides is not known here, so that
   * nobody could say when it changes.
   */
  keeps(table: Table): boolean {
    return table.kind === 'table' && !table.depends && this.cache.isKept(table.id)
  }

  /** Milliseconds for which an answer that reads these tables may be kept; 0 where it may not. */
  #ttlMs(tables: readonly Table[]): number {
    return tables.every((table) => this.keeps(table)) ? this.cache.ttlMs(tables.map(({ id }) => id)) : 0
  }

  /**
   * The answer to a question: a kept one, or a fresh one, which is kept where all tables allow it.
   *
   * @param told  told which of them it is
   */
  async answer<T extends { readonly tables: readonly Table[] }>(
    question: Question,
    told: { cache?: 'hit' | 'miss' },
    ask: () => readonly T[],
    read: (asked: readonly T[]) => Promise<Fresh>,
  ): Promise<string> {
    const known = this.cache.find(question)
    if (known !== undefined) {
      told.cache = 'hit'
      return known
    }
    const asked = ask()
    const ttlMs = this.#ttlMs(asked.flatMap(({ tables }) => tables))
    if (ttlMs === 0) return (await read(asked)).text
    const { text, cache } = await this.cache.get(question, ttlMs, () => read(asked))
    told.cache = cache
    return text
  }

  /**
   * The question of a request.
   *
   * @param operation  of its document and its name: `digest`
   * @param variables  that the operation declares
   */
  question(operation: string, variables: readonly VariableDefinitionNode[], request: Asking): Question {
    const { identity, placement, deadline, limits = {} } = request
    const { tenant, roles } = identity
    const asking = [tenant, placement.epoch, roles.length > 1 ? [...roles].sort() : roles]
    const bounds = [limits.rows, limits.answerBytes]
    // As they came: what becomes of them hangs on the document alone. One that is missing is not one that is null.
    const given = request.variables ?? {}
    const values = variables.flatMap(({ variable: { name } }) =>
      Object.hasOwn(given, name.value) ? [name.value, given[name.value]] : [],
    )
    const key = hash('sha256', JSON.stringify([this.#mark, operation, asking, bounds, values]), 'base64url')
    return { tenant, key, deadline }
  }
}

/** Equal for equal lists alone. */
export function digest(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
