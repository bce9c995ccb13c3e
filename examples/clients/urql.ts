/** urql: pages of a list, and a mutation whose broken constraints are an answer. */

import { Client, type CombinedError, cacheExchange, fetchExchange } from '@urql/core'
import { graphql } from './.generated/index.ts'
import { type GatewayOptions, gatewayFetch } from './transport.ts'

export const createClient = (options: GatewayOptions): Client =>
  new Client({
    url: options.url,
    exchanges: [cacheExchange, fetchExchange],
    fetch: gatewayFetch(options),
    preferGetMethod: false,
  })

const OpenTickets = graphql(`
  query OpenTickets($first: Int!, $after: String) {
    tickets(first: $first, after: $after, filter: { status: { in: [NEW, OPEN] } }, orderBy: [{ createdAt: DESC }]) {
      nodes { id subject createdAt assignee { id name } }
      pageInfo { endCursor hasNextPage }
    }
  }
`)

async function page(client: Client, first: number, after: string | null) {
  const { data, error } = await client.query(OpenTickets, { first, after })
  if (!data) throw error ?? new Error('No answer came.')
  return data.tickets
}

/** Every open ticket, a page at a time; a cursor holds its place while rows come and go. */
export async function* openTickets(client: Client, first = 20) {
  for (let after: string | null = null; ; ) {
    const { nodes, pageInfo } = await page(client, first, after)
    yield* nodes
    if (!pageInfo.hasNextPage) return
    after = pageInfo.endCursor
  }
}

const AddTag = graphql(`
  mutation AddTag($input: CreateTagInput!) {
    createTag(input: $input) {
      __typename
      ... on Tag { id name color }
      ... on ConstraintError { kind columns message }
    }
  }
`)

/** The tag, or what is wrong with which field of the form. */
export async function addTag(client: Client, name: string, color?: string) {
  const { data, error } = await client.mutation(AddTag, { input: { name, color } })
  if (!data) throw error ?? new Error('No answer came.')
  return data.createTag
}

/** The codes of an error: what to test for. Messages are for people, and may change. */
export const codesOf = (error: CombinedError): string[] =>
  error.graphQLErrors.map(({ extensions }) => String(extensions.code))
