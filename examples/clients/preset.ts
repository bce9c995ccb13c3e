/** No client at all: a typed document of the client preset, and `fetch`. */

import type { TypedDocumentNode } from '@graphql-typed-document-node/core'
import { type GraphQLFormattedError, print } from 'graphql'
import { graphql } from './.generated/index.ts'
import { type GatewayOptions, gatewayFetch } from './transport.ts'

/** The answer of an operation, or an error whose `cause` holds the gateway's errors with their codes. */
export async function ask<Data, Variables>(
  options: GatewayOptions,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = await gatewayFetch(options)(options.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: print(document), variables }),
  })
  const { data, errors }: Answer<Data> = await response.json()
  if (errors?.length || !data) throw new Error(errors?.[0]?.message ?? response.statusText, { cause: errors })
  return data
}

interface Answer<Data> {
  readonly data?: Data
  readonly errors?: readonly GraphQLFormattedError[]
}

const OrdersSince = graphql(`
  query OrdersSince($since: Date!) {
    orders(first: 50, filter: { placedOn: { gte: $since } }, orderBy: [{ placedOn: DESC }]) {
      nodes { id placedOn taxRate shipTo }
      totalCount
    }
  }
`)

/** A Date is text ("2026-03-29"), a Decimal too ("0.1900"): nothing is lost before somebody decides to round. */
export async function ordersSince(options: GatewayOptions, since: string) {
  const { orders } = await ask(options, OrdersSince, { since })
  return orders
}
