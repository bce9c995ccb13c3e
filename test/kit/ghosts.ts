/**
 * Values of nobody: of the same form as a tenant's, and found nowhere. What carries a tag gets that of a tenant
 * that never was; numbers and uuids without one move to where no row is; ids and cursors are opened, changed
 * inside and closed again.
 */

import type { Canary } from './canary.ts'
import { ghostly } from './world-source.ts'

/** Far from any number of a fixture, and still within four bytes. */
const AWAY = 1_300_000_000
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The same value as nobody's; equal to `value` where it holds nothing that is somebody's own. */
export function ghostOf(value: unknown, others: readonly Canary[]): unknown {
  if (Array.isArray(value)) return value.map((item) => ghostOf(item, others))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, ghostOf(item, others)]))
  }
  if (typeof value === 'number') return ghostNumber(value, others)
  return typeof value === 'string' ? ghostText(value, others) : value
}

function ghostNumber(value: number, others: readonly Canary[]): number {
  const tagged = Number(ghostly(String(value), others))
  if (tagged !== value || !Number.isInteger(value) || Math.abs(value) < 100) return tagged
  return (value + AWAY) % 2_147_483_647
}

function ghostText(value: string, others: readonly Canary[]): string {
  const parts = partsOf(value)
  if (parts) {
    const [first, ...rest] = parts
    const changed = rest.map((part) => (typeof part === 'string' ? ghostText(part, others) : part))
    return Buffer.from(JSON.stringify([first, ...changed])).toString('base64url')
  }
  const tagged = ghostly(value, others)
  if (tagged !== value) return tagged
  if (/^\d{3,10}$/.test(value)) return String((Number(value) + AWAY) % 2_147_483_647)
  return UUID.test(value) ? value.replace(/^.{8}/, '0bad0bad') : value
}

/** What an id or a cursor holds: the type or the order first, then values. */
function partsOf(text: string): unknown[] | undefined {
  if (!/^[\w-]{8,}$/.test(text)) return undefined
  try {
    const found: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return Array.isArray(found) ? found : undefined
  } catch {
    return undefined
  }
}
