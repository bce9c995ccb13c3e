/**
 * Hooks: code of an extension that runs before and after rows are written, whichever mutation writes them.
 *
 * A hook runs in the operation's transaction. What it throws rolls the whole operation back; what it says with
 * `refuse` is told to the client. Rows that Postgres changes by itself (a cascade, a trigger) call none.
 */

import type { GatewayContext } from '../context.ts'
import type { Verb } from '../meanings.ts'
import type { Fields } from './fields.ts'

type Maybe<T> = T | Promise<T>

export interface TableHooks {
  /** @returns  what to write instead of `input`; nothing for `input` as it is */
  beforeCreate?(input: Fields, context: GatewayContext): Maybe<Fields | undefined>
  afterCreate?(row: Fields, context: GatewayContext): Maybe<void>
  /**
   * @param row  as it is, locked until the operation ends
   * @returns    what to write instead of `patch`; nothing for `patch` as it is
   */
  beforeUpdate?(patch: Fields, row: Fields, context: GatewayContext): Maybe<Fields | undefined>
  /** @param before  the row as it was */
  afterUpdate?(row: Fields, before: Fields, context: GatewayContext): Maybe<void>
  beforeDelete?(row: Fields, context: GatewayContext): Maybe<void>
  /** @param row  as it was */
  afterDelete?(row: Fields, context: GatewayContext): Maybe<void>
}

type HookName = keyof TableHooks

export const HOOK_NAMES: readonly string[] = [
  'beforeCreate',
  'afterCreate',
  'beforeUpdate',
  'afterUpdate',
  'beforeDelete',
  'afterDelete',
] satisfies HookName[]

const CREATE = ['beforeCreate', 'afterCreate'] as const
const UPDATE = ['beforeUpdate', 'afterUpdate'] as const
/** The hooks that a write calls. */
export const HOOKS_OF = {
  create: CREATE,
  update: UPDATE,
  upsert: [...CREATE, ...UPDATE],
  delete: ['beforeDelete', 'afterDelete'],
} as const satisfies Readonly<Record<Verb, readonly HookName[]>>

export type HooksOf = (typeName: string) => readonly TableHooks[]

/** The hooks of one table, those of several extensions one after the other. */
export class HookChain {
  readonly #hooks: readonly TableHooks[]

  constructor(hooks: readonly TableHooks[]) {
    this.#hooks = hooks
  }

  /** Whether there is one of them: without, a statement may do where a row would have to be read first. */
  has(...names: readonly HookName[]): boolean {
    return this.#hooks.some((hooks) => names.some((name) => hooks[name] !== undefined))
  }

  async beforeCreate(input: Fields, context: GatewayContext): Promise<Fields> {
    let written = input
    for (const hooks of this.#hooks) written = (await hooks.beforeCreate?.(written, context)) ?? written
    return written
  }

  async beforeUpdate(patch: Fields, row: Fields, context: GatewayContext): Promise<Fields> {
    let written = patch
    for (const hooks of this.#hooks) written = (await hooks.beforeUpdate?.(written, row, context)) ?? written
    return written
  }

  async afterCreate(row: Fields, context: GatewayContext): Promise<void> {
    for (const hooks of this.#hooks) await hooks.afterCreate?.(row, context)
  }

  async afterUpdate(row: Fields, before: Fields, context: GatewayContext): Promise<void> {
    for (const hooks of this.#hooks) await hooks.afterUpdate?.(row, before, context)
  }

  async beforeDelete(row: Fields, context: GatewayContext): Promise<void> {
    for (const hooks of this.#hooks) await hooks.beforeDelete?.(row, context)
  }

  async afterDelete(row: Fields, context: GatewayContext): Promise<void> {
    for (const hooks of this.#hooks) await hooks.afterDelete?.(row, context)
  }
}
