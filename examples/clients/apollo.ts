/** Apollo Client: a normalized cache over Relay ids, a list that grows by pages, a mutation. */

import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client'
import { relayStylePagination } from '@apollo/client/utilities'
import { graphql } from './.generated/index.ts'
import { type GatewayOptions, gatewayFetch } from './transport.ts'

export const createClient = (options: GatewayOptions): ApolloClient =>
  new ApolloClient({
    link: new HttpLink({ uri: options.url, fetch: gatewayFetch(options) }),
    cache: new InMemoryCache({
      // The unions that are asked for; @graphql-codegen/fragment-matcher writes down those of the whole schema.
      possibleTypes: { UpdateTicketResult: ['ConstraintError', 'Ticket'] },
      typePolicies: { Query: { fields: { tickets: relayStylePagination(['filter', 'orderBy']) } } },
    }),
  })

const TicketFeed = graphql(`
  query TicketFeed($first: Int!, $after: String) {
    tickets(first: $first, after: $after, orderBy: [{ createdAt: DESC }]) {
      edges { cursor node { id subject status } }
      pageInfo { endCursor hasNextPage }
      totalCount
    }
  }
`)

/** Watches the list; `fetchMore` brings the next page, and who watches gets all pages so far. */
export function ticketFeed(client: ApolloClient, first = 20) {
  const feed = client.watchQuery({ query: TicketFeed, variables: { first } })
  return {
    feed,
    fetchMore: (after: string) => feed.fetchMore({ variables: { after } }),
  }
}

const RenameTicket = graphql(`
  mutation RenameTicket($id: ID!, $subject: String!) {
    updateTicket(id: $id, patch: { subject: $subject }) {
      __typename
      ... on Ticket { id subject }
      ... on ConstraintError { kind columns message }
    }
  }
`)

/** The ticket under its new subject, which the cache then shows everywhere; or a broken constraint. */
export async function renameTicket(client: ApolloClient, id: string, subject: string) {
  const { data } = await client.mutate({ mutation: RenameTicket, variables: { id, subject } })
  return data?.updateTicket
}

/** The codes of whatever Apollo threw: what to test for. Messages are for people, and may change. */
export const codesOf = (error: unknown): unknown[] =>
  CombinedGraphQLErrors.is(error) ? error.errors.map(({ extensions }) => extensions?.code) : []
