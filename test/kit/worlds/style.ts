/**
 * The two ways in which databases of other people are made here: one with uuids and one with numbers.
 *
 * SQL of the fixtures is written once, with words that stand for what differs:
 *
 *     $owned        the tenant column's whole definition
 *     $tenant       its name            $tenant_type   its type
 *     $id           the definition of a primary key `id`, which knows no tenant
 *     $key          the type of a column that refers to one
 */

import { readFileSync } from 'node:fs'

export interface Style {
  readonly tenantColumn: 'organization_id' | 'account_id'
  readonly tenantType: 'uuid' | 'int'
  /** Definition of a primary key, without its name. */
  readonly id: string
  /** Type of a column that refers to one. */
  readonly key: 'uuid' | 'int'
}

export const STYLES: Readonly<Record<Style['tenantType'], Style>> = {
  uuid: {
    tenantColumn: 'organization_id',
    tenantType: 'uuid',
    id: 'uuid primary key default gen_random_uuid()',
    key: 'uuid',
  },
  int: { tenantColumn: 'account_id', tenantType: 'int', id: 'serial primary key', key: 'int' },
}

/** The text with the words of a style in place. */
export function inStyle(text: string, { tenantColumn, tenantType, id, key }: Style): string {
  const words: Readonly<Record<string, string>> = {
    owned: `${tenantColumn} ${tenantType} not null references app.tenants`,
    tenant: tenantColumn,
    tenant_type: tenantType,
    id: `id ${id}`,
    key,
  }
  return text.replace(/\$(owned|tenant_type|tenant|id|key)\b/g, (_, word: string) => words[word]!)
}

/** A file of test/fixtures in a style. @param name  'nasty-shapes' */
export function fixtureIn(style: Style, name: string): string {
  return inStyle(readFileSync(new URL(`../../fixtures/${name}.sql`, import.meta.url), 'utf8'), style)
}
