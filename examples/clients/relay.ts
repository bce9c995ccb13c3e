/**
 * Relay: the compiler's artifacts, `node` ids and connections as Relay wants them, a mutation.
 *
 *     cd examples/clients && npx relay-compiler relay.config.json
 */

import {
  commitMutation,
  Environment,
  type FetchFunction,
  fetchQuery,
  graphql,
  Network,
  RecordSource,
  Store,
} from 'relay-runtime'
import type {
  relayAddTagMutation,
  relayAddTagMutation$data,
} from './__generated__/relayAddTagMutation.graphql.ts'
import type { relayTicketsQuery } from './__generated__/relayTicketsQuery.graphql.ts'
import { type GatewayOptions, gatewayFetch } from './transport.ts'

export function createEnvironment(options: GatewayOptions): Environment {
  const send = gatewayFetch(options)
  const fetchFn: FetchFunction = async ({ text, name }, variables) => {
    const response = await send(options.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: text, operationName: name, variables }),
    })
    return response.json()
  }
  return new Environment({ network: Network.create(fetchFn), store: new Store(new RecordSource()) })
}

export const TicketsQuery = graphql`
  query relayTicketsQuery($first: Int!, $after: String) {
    tickets(first: $first, after: $after, orderBy: [{ createdAt: DESC }])
      @connection(key: "relay_tickets", filters: ["orderBy"]) {
      edges { node { id subject author { id name } } }
      pageInfo { endCursor hasNextPage }
    }
  }
`

export const AddTagMutation = graphql`
  mutation relayAddTagMutation($input: CreateTagInput!) {
    createTag(input: $input) {
      __typename
      ... on Tag { id name }
      ... on ConstraintError { kind columns message }
    }
  }
`

export const ticketsPage = (environment: Environment, first: number, after?: string) =>
  fetchQuery<relayTicketsQuery>(environment, TicketsQuery, { first, after }).toPromise()

export const addTag = (environment: Environment, name: string) =>
  new Promise<relayAddTagMutation$data['createTag']>((resolve, reject) => {
    commitMutation<relayAddTagMutation>(environment, {
      mutation: AddTagMutation,
      variables: { input: { name } },
      onCompleted: ({ createTag }) => resolve(createTag),
      onError: reject,
    })
  })
