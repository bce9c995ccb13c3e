/**
 * The page of GraphiQL as HTML: a bar with the tenant and role switchers, and GraphiQL below it.
 *
 * The settings travel as a JSON block and the script is a file (graphiql-browser.js), so the content
 * security policy needs neither a nonce nor 'unsafe-inline' for scripts.
 */

import type { OutgoingHttpHeaders } from 'node:http'
import type { Example } from '../graphql/examples.ts'
import type { Role } from '../tenant/types.ts'
import type { GraphiqlAssets } from './graphiql-assets.ts'

/** Tenants' roles, from the least to the most; `operator` is for the admin port alone. */
export const PAGE_ROLES = ['viewer', 'member', 'admin'] as const satisfies readonly Role[]
export type PageRole = (typeof PAGE_ROLES)[number]

export interface TenantChoice {
  readonly id: string
  readonly name: string
}

export interface GraphiqlPage {
  readonly assets: GraphiqlAssets
  readonly tenants: readonly TenantChoice[]
  /** Id of the chosen tenant; null when there is none to choose. */
  readonly tenant: string | null
  readonly role: PageRole
  /** Headers that each tab's header editor starts with. */
  readonly headers: Readonly<Record<string, string>>
  readonly examples: readonly Example[]
  /** A sentence for the bar when something is missing. */
  readonly notice: string | null
}

// Monaco, GraphiQL's editor, writes <style> elements and style attributes, and brings its fonts as
// data: URLs; everything else comes from this server, as a file.
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
]

/** The page holds a token: no cache may keep it, no other site may frame it or learn its address. */
export const PAGE_HEADERS: OutgoingHttpHeaders = Object.freeze({
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': POLICY.join('; '),
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  vary: 'Accept',
})

// A gate between three shards.
const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="20" height="20">
  <path fill="#3d6fe0" d="M4 21V10a8 8 0 0 1 16 0v11h-3.2V10a4.8 4.8 0 0 0-9.6 0v11z"/>
  <path fill="#1fae8c" d="M10.4 9h3.2v3h-3.2zm0 4.5h3.2v3h-3.2zm0 4.5h3.2v3h-3.2z"/>
</svg>`

export function graphiqlPage(page: GraphiqlPage): string {
  const file = (part: keyof GraphiqlAssets['names']): string => `/graphiql/${page.assets.names[part]}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GraphiQL · Shardgate</title>
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(LOGO)}">
<link rel="stylesheet" href="${file('style')}">
<link rel="stylesheet" href="${file('browserStyle')}">
<script type="application/json" id="settings">${settings(page, file)}</script>
<script defer src="${file('script')}"></script>
<script defer src="${file('browserScript')}"></script>
</head>
<body>
<header class="bar">
<span class="name">${LOGO}Shardgate <span class="badge">development only</span></span>
<label>Tenant ${select('tenant', page.tenants, page.tenant)}</label>
<label>Role ${select('role', roles, page.role)}</label>
<button type="button" id="examples" title="Close all tabs and open one for each example">Example queries</button>
${page.notice ? `<span class="notice" role="status">${escapeHtml(page.notice)}</span>` : ''}
</header>
<main id="graphiql"><p class="loading">Loading GraphiQL…</p></main>
<noscript><p>GraphiQL needs JavaScript.</p></noscript>
</body>
</html>
`
}

const roles: readonly TenantChoice[] = PAGE_ROLES.map((role) => ({ id: role, name: role }))

// autocomplete="off": a browser that puts back the choice of an earlier visit would show a tenant
// other than the one whose token is in the page.
function select(name: string, choices: readonly TenantChoice[], chosen: string | null): string {
  const options = choices.map(({ id, name: text }) => {
    const label = text === id ? id : `${text} (${id})`
    return `<option value="${escapeHtml(id)}"${id === chosen ? ' selected' : ''}>${escapeHtml(label)}</option>`
  })
  const disabled = choices.length === 0 ? ' disabled' : ''
  return `<select id="${name}" name="${name}" autocomplete="off"${disabled}>${options.join('')}</select>`
}

function settings(page: GraphiqlPage, file: (part: keyof GraphiqlAssets['names']) => string): string {
  const json = JSON.stringify({
    endpoint: '/graphql',
    headers: page.headers,
    examples: page.examples,
    workers: {
      editorWorkerService: file('editorWorker'),
      json: file('jsonWorker'),
      graphql: file('graphqlWorker'),
    },
  })
  return json.replaceAll('<', '\\u003c') // "</script>" in a comment of a table would end the block.
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character)
}
