/**
 * What an operation asks for at the most, before anything runs: its pages multiplied, the rows that it may write, and
 * what its parts cost.
 *
 * It is what the answer would hold if every page were full, so an honest operation may ask for far more than there is.
 * Both lanes ask here. The document is read once (asks.ts); what is left for a request is arithmetic on the numbers of
 * its variables, and none where it has no variable that counts.
 */

import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql'
import type { PageSizes } from '../pages.ts'
import { type Ask, type Asks, asksOf, type Values } from './asks.ts'
import { PRICES } from './cost.ts'

export interface Demand {
  /** Rows in the answer if every page were full; `Number.MAX_SAFE_INTEGER` at the most. */
  readonly rows: number
  /** What the operation costs without them. */
  readonly points: number
  /** The longest page that it asks for by a number; 0 where it asks for none. */
  readonly page: number
}

export type Variables = Readonly<Record<string, unknown>>

/** @param variables  as they came, or coerced: both count alike */
export function demandOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
  sizes: PageSizes,
): Demand {
  const found = knownOf(schema, document, operation)
  if (!found.asks.isConstant) return new Walk(found.asks, variables, sizes).demand()
  // A reload of the configuration makes another object of sizes.
  if (found.constant?.sizes !== sizes)
    found.constant = { sizes, demand: new Walk(found.asks, {}, sizes).demand() }
  return found.constant.demand
}

interface Known {
  readonly asks: Asks
  /** The demand of all requests, where no variable counts. */
  constant?: { readonly sizes: PageSizes; readonly demand: Demand }
}

/** They hang on the document, which both lanes have from one parser; its operations are none of another's. */
const known = new WeakMap<GraphQLSchema, WeakMap<OperationDefinitionNode, Known>>()

function knownOf(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Known {
  const ofSchema = known.get(schema) ?? new WeakMap<OperationDefinitionNode, Known>()
  known.set(schema, ofSchema)
  const found = ofSchema.get(operation) ?? { asks: asksOf(schema, document, operation) }
  ofSchema.set(operation, found)
  return found
}

/** Rows of asks: for each row of the page that they are about, and once for the whole list. */
interface Rows {
  readonly each: number
  readonly once: number
}

const capped = (rows: number): number => Math.min(rows, Number.MAX_SAFE_INTEGER)

class Walk implements Values {
  readonly sizes: PageSizes
  readonly #asks: Asks
  readonly #variables: Variables
  #points: number = PRICES.operation
  #page = 0

  constructor(asks: Asks, variables: Variables, sizes: PageSizes) {
    this.#asks = asks
    this.#variables = variables
    this.sizes = sizes
  }

  demand(): Demand {
    const { each, once } = this.#rowsOf(this.#asks.asks)
    return { rows: capped(each + once), points: capped(this.#points), page: this.#page }
  }

  value(name: string): unknown {
    return Object.hasOwn(this.#variables, name) ? this.#variables[name] : this.#asks.defaults.get(name)
  }

  askPage(size: number): void {
    this.#page = Math.max(this.#page, size)
  }

  #rowsOf(asks: readonly Ask[]): Rows {
    let [each, once] = [0, 0]
    for (const ask of asks) {
      if (!ask.isIn(this)) continue
      this.#points += typeof ask.points === 'number' ? ask.points : ask.points(this)
      const below = this.#rowsOf(ask.below)
      if (ask.kind === 'object') {
        each += below.each + below.once
        continue
      }
      const rows = ask.rows(this) * (1 + below.each) + below.once
      if (ask.kind === 'each') each += rows
      else once += rows
    }
    return { each: capped(each), once: capped(once) }
  }
}
