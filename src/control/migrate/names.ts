/**
 * One text of SQL for all targets: files may name the shared schema and the app role, and for a tenant with a schema
 * of its own both mean its own ones. Left as they are, such names would change the shared tables once more for each
 * tenant, and give the gateway's log-in rights that only the tenant's role may have.
 *
 * Texts in quotes and comments stay as they are; bodies of functions between dollars are SQL again.
 */

import { APP_ROLE, type Place } from './place.ts'

/** The setting that carries the tenant: a name with a dot that is no table's. */
const TENANT_SETTING = 'current_tenant_id'

export function ownNames(text: string, { schema, sharedSchema, appRole }: Place): string {
  if (schema === sharedSchema && appRole === APP_ROLE) return text
  const schemaName = nameOf(sharedSchema)
  const pattern = new RegExp(
    [
      /--[^\n]*/.source,
      /\/\*[\s\S]*?\*\//.source,
      /(?<![\w$\u0080-\uffff])[eE]'(?:[^'\\]|\\[\s\S]|'')*'/.source,
      /'(?:[^']|'')*'/.source,
      /(?<![\w$\u0080-\uffff])(?<tag>\$(?:[A-Za-z_]\w*)?\$)(?<body>[\s\S]*?)\k<tag>/.source,
      `(?<schema>${schemaName}(?=\\s*\\.)(?!\\s*\\.\\s*${TENANT_SETTING}\\b)|(?<=\\bschema\\s+(?:if\\s+(?:not\\s+)?exists\\s+)?)${schemaName})`,
      `(?<role>${nameOf(APP_ROLE)})`,
      /"(?:[^"]|"")*"/.source,
    ].join('|'),
    'gi',
  )
  const rewrite = (part: string): string =>
    part.replace(pattern, (found, ...rest) => {
      const { tag, body, schema: named, role } = rest.at(-1) as Record<string, string | undefined>
      if (tag !== undefined) return `${tag}${rewrite(body ?? '')}${tag}`
      if (named !== undefined) return isName(named, sharedSchema) ? quotedName(schema) : found
      return role !== undefined && isName(role, APP_ROLE) ? quotedName(appRole) : found
    })
  return rewrite(text)
}

// The pattern looks past upper and lower case, which counts between quotes.
const isName = (found: string, name: string): boolean => !found.startsWith('"') || found === quotedName(name)

const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A name as people write it, quoted or plain; a plain one in any case, where it can be written so. */
function nameOf(name: string): string {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const inQuotes = `"${escaped.replaceAll('"', '""')}"`
  if (!/^[a-z_][a-z0-9_]*$/.test(name)) return inQuotes
  return `(?:${inQuotes}|(?<![\\w$."\\u0080-\\uffff])${escaped}(?![\\w$\\u0080-\\uffff]))`
}
