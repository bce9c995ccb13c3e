/**
 * Limits that are one tenant's: what its plan or it itself may ask for, where that is less than everybody's.
 *
 * A document that is remembered is within everybody's limits, which have nothing to do with who asks. What it measures
 * is remembered with it, as numbers, and each request holds them against the limits of its own tenant: nothing that
 * one tenant was told is ever another's answer.
 */

import type { DocumentNode } from 'graphql'
import type { Limits } from '../../base/config-limits.ts'
import type { Demand } from './demand.ts'
import { type LimitName, measureOf, tooComplex } from './limits.ts'

interface Excess {
  readonly limit: LimitName
  readonly asked: number
  readonly allowed: number
}

/** @throws QUERY_TOO_COMPLEX  the details name the limit, what was asked and what is allowed */
export function checkOwnDocument(document: DocumentNode, own: Limits): void {
  refuse(excessOfDocument(document, own))
}

/** @throws QUERY_TOO_COMPLEX  as `checkOwnDocument` */
export function checkOwnDemand(demand: Demand, own: Limits): void {
  refuse(excessOfDemand(demand, own))
}

/** Whether neither of both throws. */
export function isWithinOwn(document: DocumentNode, demand: Demand, own: Limits): boolean {
  return !excessOfDocument(document, own) && !excessOfDemand(demand, own)
}

function excessOfDocument(document: DocumentNode, own: Limits): Excess | undefined {
  const { depth, aliases, rootFields, documentTokens } = own
  if (
    depth === undefined &&
    aliases === undefined &&
    rootFields === undefined &&
    documentTokens === undefined
  )
    return undefined
  const measured = measureOf(document)
  return (
    excess('documentTokens', measured.documentTokens, documentTokens) ??
    excess('fields', measured.fields, documentTokens) ??
    excess('depth', measured.depth, depth) ??
    excess('aliases', measured.aliases, aliases) ??
    excess('rootFields', measured.rootFields, rootFields)
  )
}

function excessOfDemand({ page }: Demand, { pageSize }: Limits): Excess | undefined {
  return excess('pageSize', page, pageSize)
}

function excess(limit: LimitName, asked: number, allowed: number | undefined): Excess | undefined {
  return allowed !== undefined && asked > allowed ? { limit, asked, allowed } : undefined
}

function refuse(found: Excess | undefined): void {
  if (found) tooComplex(found.limit, found.allowed, found.asked)
}
