/**
 * graphql-shield's rules, loaded in the one way that works.
 *
 * Version 7.6.5 as an ES module imports `isUndefined` from `util`, which Node 23 removed; the CommonJS
 * build loads. `chain` and `race` need the missing function when they run and are not passed on:
 * write `and`, `or`, or plain code inside a rule. Nothing here wraps a schema (permissions.ts).
 */

import { createRequire } from 'node:module'
import type * as Shield from 'graphql-shield'

const shield: typeof Shield = createRequire(import.meta.url)('graphql-shield')

export const rule: typeof Shield.rule = shield.rule
export const and: typeof Shield.and = shield.and
export const or: typeof Shield.or = shield.or
export const not: typeof Shield.not = shield.not
export const allow: typeof Shield.allow = shield.allow
export const deny: typeof Shield.deny = shield.deny

/** A rule, or rules put together with `and`, `or` and `not`. */
export type ShieldRule = Parameters<typeof Shield.and>[number]

/** What `rule.resolve` wants beside parent, arguments, context and info. */
export type ResolveOptions = Parameters<ShieldRule['resolve']>[4]
