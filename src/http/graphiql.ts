/**
 * GraphiQL for development: the page at `GET /graphql`, its files under `/graphiql/`.
 *
 * The page carries a development token of the chosen tenant and role: whoever can read the page can
 * read that tenant. It is therefore there only where `graphiqlRoutes` is called, which production
 * does not, and it is answered only under a host name that a stranger's web site cannot point at this
 * machine (DNS rebinding). Nothing is loaded from elsewhere, and the content security policy of
 * graphiql-page.ts keeps it so.
 */

import { readFile } from 'node:fs/promises'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { isGatewayError } from '../base/errors.ts'
import type { Example } from '../graphql/examples.ts'
import { FORMS, type GraphiqlAssets } from './graphiql-assets.ts'
import {
  type GraphiqlPage,
  graphiqlPage,
  PAGE_HEADERS,
  PAGE_ROLES,
  type PageRole,
  type TenantChoice,
} from './graphiql-page.ts'

export interface GraphiqlOptions {
  readonly assets: GraphiqlAssets
  /** Tenants to choose from; the first is chosen when the address names none. */
  readonly tenants: () => Promise<readonly TenantChoice[]>
  /** Sign a development token. */
  readonly token: (tenant: string, role: PageRole) => Promise<string>
  /** Of the tables of a tenant; null where there is none yet. */
  readonly examples: (tenant: string | null) => Promise<readonly Example[]>
  /** `http.baseDomain`: under it and its subdomains the page is answered too. */
  readonly baseDomain?: string
}

/** Answers the request and resolves to true, or leaves it alone and resolves to false. */
export type Route = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>

/**
 * GraphiQL's share of the public port: `GET /graphql` for who prefers HTML, and `/graphiql/*`.
 *
 * Sentences of GatewayErrors of `tenants` and `token` go into the page's bar; other errors are passed on.
 */
export function graphiqlRoutes(options: GraphiqlOptions): Route {
  const files = filesOf(options.assets)
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return false
    const [path = '', search = ''] = (request.url ?? '').split('?', 2)
    if (path === '/graphql' && prefersHtml(request)) await servePage(options, search, request, response)
    else if (path.startsWith('/graphiql/')) await serveFile(files, path, request, response)
    else if (path === '/graphiql') send(response, 302, { location: '/graphql' }, '')
    else return false
    return true
  }
}

async function servePage(
  options: GraphiqlOptions,
  search: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isOwnHost(request.headers.host ?? '', options.baseDomain)) {
    const sentence =
      'GraphiQL answers under localhost, an IP address or http.baseDomain of shards.config.json.'
    return send(response, 403, TEXT, `${sentence}\n`)
  }
  const html = graphiqlPage(await choose(options, new URLSearchParams(search)))
  send(response, 200, PAGE_HEADERS, html, request.method)
}

/** A name resolves to whatever its owner says; an address, and localhost, only to what they are. */
function isOwnHost(header: string, baseDomain: string | undefined): boolean {
  const host = header
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
  const own = ['localhost', ...(baseDomain ? [baseDomain.toLowerCase()] : [])]
  return isIP(host) !== 0 || own.some((name) => host === name || host.endsWith(`.${name}`))
}

type Choice = Omit<GraphiqlPage, 'assets' | 'examples'>

async function choose(options: GraphiqlOptions, search: URLSearchParams): Promise<GraphiqlPage> {
  const role = PAGE_ROLES.find((known) => known === search.get('role')) ?? 'member'
  const none: Choice = { tenants: [], tenant: null, role, headers: {}, notice: null }
  const choice = await orNotice(none, () => chooseTenant(options, search.get('tenant'), none))
  const examples = await options.examples(choice.tenant).catch((error: unknown) => {
    if (isGatewayError(error)) return []
    throw error
  })
  return { ...choice, assets: options.assets, examples }
}

async function chooseTenant(options: GraphiqlOptions, wanted: string | null, none: Choice): Promise<Choice> {
  const tenants = await options.tenants()
  const found = tenants.find(({ id }) => id === wanted)
  const tenant = (found ?? tenants[0])?.id
  if (tenant === undefined)
    return { ...none, notice: 'No tenant yet: make one with "shardgate tenant create".' }
  const notice = wanted && !found ? `There is no tenant "${wanted.slice(0, 60)}"; this is ${tenant}.` : null
  const unsigned = { ...none, tenants, tenant, notice }
  return orNotice(unsigned, async () => {
    const token = await options.token(tenant, none.role)
    return { ...unsigned, headers: { Authorization: `Bearer ${token}`, 'X-Tenant-ID': tenant } }
  })
}

// GraphiQL without a token still shows the schema and says why; a person can paste their own.
async function orNotice(fallback: Choice, work: () => Promise<Choice>): Promise<Choice> {
  try {
    return await work()
  } catch (error) {
    if (!isGatewayError(error)) throw error
    return { ...fallback, notice: error.message }
  }
}

const TEXT: OutgoingHttpHeaders = Object.freeze({
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
})

/** Path → file, so that no path from outside is ever joined to a folder. */
function filesOf({ folder, names }: GraphiqlAssets): ReadonlyMap<string, string> {
  return new Map(Object.values(names).map((name) => [`/graphiql/${name}`, join(folder, name)]))
}

async function serveFile(
  files: ReadonlyMap<string, string>,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const file = files.get(path)
  const form = formFor(request)
  const body = file && (await readFile(file + (form ? FORMS[form] : '')).catch(() => undefined))
  if (!body) return send(response, 404, TEXT, 'No such file of GraphiQL; load the page again.\n')
  send(response, 200, fileHeaders(path, form), body, request.method)
}

function fileHeaders(path: string, form: keyof typeof FORMS | undefined): OutgoingHttpHeaders {
  return {
    'content-type': path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable', // a year; the name is the content's hash
    'content-security-policy': "default-src 'none'", // a worker obeys the policy of its own file
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    vary: 'Accept-Encoding',
    ...(form && { 'content-encoding': form }),
  }
}

// Brotli leaves the least, but browsers ask for it only over https and, some of them, on localhost.
function formFor(request: IncomingMessage): keyof typeof FORMS | undefined {
  const accepted = request.headers['accept-encoding']
  return (['br', 'gzip'] as const).find((form) => quality(accepted, form) > 0)
}

/** A browser's address line prefers HTML; fetch, curl and every GraphQL client do not name it. */
function prefersHtml(request: IncomingMessage): boolean {
  const { accept } = request.headers
  const json = Math.max(
    quality(accept, 'application/json'),
    quality(accept, 'application/graphql-response+json'),
  )
  return quality(accept, 'text/html') > 0 && quality(accept, 'text/html') >= json
}

/** The q of `name` in an Accept or Accept-Encoding header: 1 when it has none, 0 when it is not listed. */
function quality(header: string | string[] | undefined, name: string): number {
  for (const item of String(header ?? '')
    .toLowerCase()
    .split(',')) {
    const [value = '', ...parameters] = item.split(';').map((part) => part.trim())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    if (value === name) return q ? Number(q.slice(2)) || 0 : 1
  }
  return 0
}

function send(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string | Buffer,
  method?: string,
): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(method === 'HEAD' ? undefined : body)
}
