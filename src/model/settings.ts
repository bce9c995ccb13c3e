/**
 * How tables, columns and foreign keys are to be served: what their smart comments say, and what the
 * configuration says, which wins.
 */

import type { PgAttribute, PgClass, PgConstraint } from 'pg-introspection'
import type { TableSettings } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { attributesOf, idOf } from './catalog.ts'
import { type Tenancy, tenantAttribute } from './served.ts'
import {
  meant,
  OMISSIONS,
  type Omission,
  type Part,
  type Rules,
  readComment,
  type SmartComment,
  type Tags,
} from './smart-comments.ts'

export interface Setting {
  readonly name?: string
  readonly omit?: Omission
  readonly deprecated?: string
  readonly comment?: string
}

export interface RelationSetting extends Setting {
  readonly inverseName?: string
}

export interface TableSetting extends Setting {
  /** Of a view. */
  readonly primaryKey?: readonly string[]
  /** By the name of the column. */
  readonly columns: ReadonlyMap<string, Setting>
  /** By the name of the foreign key. */
  readonly relations: ReadonlyMap<string, RelationSetting>
}

/**
 * Settings of each table, by its id.
 *
 * @param classes  all that is in the served schemas
 * @param served   those of them whose comments count: what is never served may say what it likes
 * @throws CONFIG_INVALID  a tag that is none, or a key of the configuration for what does not exist; the message
 *                         lists each with what was probably meant
 */
export function settingsOf(
  classes: readonly PgClass[],
  served: ReadonlySet<PgClass>,
  tenancy: Tenancy,
): ReadonlyMap<string, TableSetting> {
  const faults: string[] = []
  const configured = tenancy.tables ?? {}
  const settings = new Map(
    classes.map((found) => {
      const isServed = served.has(found)
      const source = { found, configured: configured[idOf(found)], isServed, faults, tenancy }
      return [idOf(found), settingOf(source)] as const
    }),
  )
  const known = [...settings.keys()]
  for (const id of tenancy.otherVersion ? [] : Object.keys(configured)) {
    if (!settings.has(id)) faults.push(`tenancy.tables: there is no table "${id}"${meant(id, known)}`)
  }
  faults.push(...globalFaults(classes, tenancy))
  if (faults.length > 0) {
    fail('CONFIG_INVALID', ['The tables cannot be served as they are described:', ...faults].join('\n  '))
  }
  return settings
}

function globalFaults(classes: readonly PgClass[], tenancy: Tenancy): string[] {
  const byId = new Map(classes.map((found) => [idOf(found), found]))
  return (tenancy.global ?? []).flatMap((id) => {
    const found = byId.get(id)
    if (!found && tenancy.otherVersion) return []
    if (!found)
      return [
        `tenancy.global: there is no table "${id}" in the schemas that are served${meant(id, [...byId.keys()])}`,
      ]
    const owned = tenantAttribute(found, tenancy)
    return owned
      ? [
          `tenancy.global: ${id} has the column ${tenancy.column}, so its rows belong to tenants; leave it out`,
        ]
      : []
  })
}

interface Source {
  readonly found: PgClass
  readonly configured: TableSettings | undefined
  readonly isServed: boolean
  readonly faults: string[]
  readonly tenancy: Tenancy
}

function settingOf(source: Source): TableSetting {
  const { found, configured, faults, tenancy } = source
  const id = idOf(found)
  const isView = found.relkind === 'v'
  const owner = `${isView ? 'the view' : 'the table'} ${id}`
  const tags = ['name', 'omit', 'deprecated', ...(isView ? (['primaryKey'] as const) : [])] as const
  const own = merged(commentOf(source, found, { owner, tags, omissions: OMISSIONS }), configured)
  const names = attributesOf(found).map(({ attname }) => attname)
  const constraints = foreignKeysOf(found).map(({ conname }) => conname)
  const place = `tenancy.tables["${id}"]`
  const { columns = {}, relations = {} } = tenancy.otherVersion ? {} : (configured ?? {})
  faults.push(
    ...strangers(`${place}.columns`, 'column', Object.keys(columns), names),
    ...strangers(`${place}.relations`, 'foreign key', Object.keys(relations), constraints),
    ...strangers(`the comment on ${owner}: @primaryKey`, 'column', own.primaryKey ?? [], names),
    ...columnOmissions(place, configured),
  )
  return { ...own, columns: columnSettings(source), relations: relationSettings(source) }
}

function columnSettings(source: Source): Map<string, Setting> {
  const { found, configured } = source
  const omissions = OMISSIONS.filter((part) => part !== 'delete')
  return new Map(
    attributesOf(found).map((attribute) => {
      const owner = `the column ${idOf(found)}.${attribute.attname}`
      const read = commentOf(source, attribute, { owner, tags: ['name', 'omit', 'deprecated'], omissions })
      return [attribute.attname, merged(read, configured?.columns[attribute.attname])]
    }),
  )
}

function relationSettings(source: Source): Map<string, RelationSetting> {
  const { found, configured } = source
  return new Map(
    foreignKeysOf(found).map((constraint) => {
      const owner = `the foreign key ${constraint.conname} of ${idOf(found)}`
      const tags = ['name', 'inverseName', 'omit', 'deprecated'] as const
      const read = commentOf(source, constraint, { owner, tags })
      return [constraint.conname, merged(read, configured?.relations[constraint.conname])]
    }),
  )
}

function commentOf(
  { isServed, faults }: Source,
  entity: PgClass | PgAttribute | PgConstraint,
  rules: Omit<Rules, 'faults'>,
): SmartComment {
  return readComment(isServed ? entity.getDescription() : undefined, { ...rules, faults })
}

export function foreignKeysOf(found: PgClass): PgConstraint[] {
  return found.getConstraints().filter(({ contype }) => contype === 'f')
}

// What the configuration leaves out is undefined there, and must not wipe out what the comment says.
function merged(
  { tags, comment }: SmartComment,
  configured: { readonly [Key in keyof Tags]?: Tags[Key] | undefined } = {},
): Tags & { readonly comment?: string } {
  const { name = tags.name, inverseName = tags.inverseName } = configured
  const { omit = tags.omit, deprecated = tags.deprecated } = configured
  const all = { name, inverseName, omit, deprecated, comment, primaryKey: tags.primaryKey }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function strangers(
  place: string,
  noun: string,
  given: readonly string[],
  known: readonly string[],
): string[] {
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${place}: there is no ${noun} "${name}"${meant(name, known)}`)
}

function columnOmissions(place: string, configured: TableSettings | undefined): string[] {
  return Object.entries(configured?.columns ?? {})
    .filter(([, { omit }]) => Array.isArray(omit) && omit.includes('delete'))
    .map(([name]) => `${place}.columns.${name}.omit: a column is not deleted; leave out "delete"`)
}

/** Whether it is left out altogether, or of `part`. */
export function isOmitted({ omit }: Setting, part?: Part): boolean {
  return omit === true || (part !== undefined && (omit?.includes(part) ?? false))
}

/** `comment` and `deprecated` as the model holds them: absent where there are none. */
export function described({ comment, deprecated }: Setting): { comment?: string; deprecated?: string } {
  return { ...(comment !== undefined && { comment }), ...(deprecated !== undefined && { deprecated }) }
}
