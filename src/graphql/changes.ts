/**
 * What a change of the schema does to clients: breaking, dangerous or safe.
 *
 * The verdicts are those of GraphQL Inspector, without its rules that soften them: a field that was removed
 * breaks who uses it, deprecated or not. Its own way to shorten the list is not used either, because it hides
 * what is breaking below what is safe: a removed argument of a field that was
 * given a description in the same step.
 */

import { type Change, CriticalityLevel, diff } from '@graphql-inspector/core'
import {
  buildSchema,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isInterfaceType,
  isObjectType,
} from 'graphql'
import { fail } from '../base/errors.ts'

export interface SchemaChange {
  /** Coordinate of what changed: 'Ticket.subject', 'Query.tickets.first'. */
  readonly path: string
  readonly message: string
  /** Why it counts as it does, where that needs a word. */
  readonly reason?: string
}

export interface SchemaChanges {
  /** Operations that were valid are refused, or answered in another shape. */
  readonly breaking: readonly SchemaChange[]
  /** Operations stay valid; a client that is not prepared may trip: a new value of an enum. */
  readonly dangerous: readonly SchemaChange[]
  readonly safe: readonly SchemaChange[]
}

/**
 * The changes from one schema to another, by path.
 *
 * Both as text, as `printSdl` makes it: uses of directives (`@oneOf`) are compared where they are written, and a
 * schema that was built in code is not written anywhere.
 *
 * @throws USAGE  `before` is no schema
 */
export async function changesOf(before: string, after: string): Promise<SchemaChanges> {
  const [old, now] = [schemaFrom(before), buildSchema(after)]
  const changes = shortened(withoutFalseAlarms(await diff(old, now), now))
  const of = (level: CriticalityLevel): SchemaChange[] =>
    changes
      .filter(({ criticality }) => criticality.level === level)
      .map(({ path = '', message, criticality: { reason } }) => ({
        path,
        message,
        ...(reason && { reason }),
      }))
      .sort((a, b) => (a.path < b.path ? -1 : 1))
  return {
    breaking: of(CriticalityLevel.Breaking),
    dangerous: of(CriticalityLevel.Dangerous),
    safe: of(CriticalityLevel.NonBreaking),
  }
}

function schemaFrom(text: string): GraphQLSchema {
  try {
    return buildSchema(text)
  } catch (cause) {
    const hint = 'Write it anew with "shardgate schema print -f <file>".'
    const sentence = `What to compare with is no GraphQL schema: ${(cause as Error).message}`
    return fail('USAGE', sentence, {}, { cause, hint })
  }
}

/** A new value of an enum that no answer holds surprises nobody: each new column is one, among what to order by. */
function withoutFalseAlarms(changes: readonly Change[], now: GraphQLSchema): Change[] {
  const answered = enumsInAnswers(now)
  return changes.map((change) =>
    change.type === 'ENUM_VALUE_ADDED' && !answered.has(change.path?.split('.')[0] ?? '')
      ? { ...change, criticality: { level: CriticalityLevel.NonBreaking } }
      : change,
  )
}

function enumsInAnswers(schema: GraphQLSchema): Set<string> {
  const fields = Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) || isInterfaceType(type))
    .flatMap((type) => Object.values(type.getFields()))
  return new Set(
    fields
      .map(({ type }) => getNamedType(type))
      .filter(isEnumType)
      .map(({ name }) => name),
  )
}

const WHOLE =
  /^(TYPE|FIELD|FIELD_ARGUMENT|INPUT_FIELD|ENUM_VALUE|DIRECTIVE)_ADDED$|_DEPRECATION(_REASON)?_ADDED$/

/** Without what is told already by what it is a part of: the fields of a new type. */
function shortened(changes: readonly Change[]): Change[] {
  const told = new Set<string>()
  return changes.filter(({ path = '', type, criticality }) => {
    const names = path.split('.')
    const isPart = names.some((_, i) => told.has(names.slice(0, i + 1).join('.')))
    if (WHOLE.test(type)) told.add(path)
    return criticality.level !== CriticalityLevel.NonBreaking || !isPart
  })
}
