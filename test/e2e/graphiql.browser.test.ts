/**
 * GraphiQL in a real browser that reaches nothing but this machine: it loads, the example returns
 * rows, the switchers change whose rows come back.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Browser, type BrowserContext, type Page, chromium as playwright } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startGateway as serve } from '../kit/gateway.ts'
import { startHelpdesk } from '../kit/helpdesk.ts'
import { chromium } from '../kit/optional.ts'

interface Gateway {
  readonly url: string
  /** Two tenants with rows, each by a text that stands in its rows and in no other's. */
  readonly tenants: readonly [Expected, Expected]
  /** Text of the first example that GraphiQL opens with. */
  readonly firstTab: string
  stop(): Promise<void>
}

interface Expected {
  readonly id: string
  readonly mark: string
}

const SHOTS = join(import.meta.dirname, '..', '..', '.vitest', 'shots')

const program = await chromium()
const POLL = { timeout: 20_000 }

let gateway: Gateway
let browser: Browser
let page: Page
/** Requests to anything but this machine, and what the browser's console complained of. */
const strayed: string[] = []
const complaints: string[] = []

beforeAll(async () => {
  if (!program) return
  await mkdir(SHOTS, { recursive: true })
  gateway = await startGateway()
  browser = await startBrowser(program)
})
afterAll(async () => {
  await browser?.close()
  await gateway?.stop()
})

beforeEach(async () => {
  page = await (await isolated()).newPage()
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(`${gateway.url}/graphql`)
  await opened()
})
afterEach(async () => {
  await page.context().close()
  expect(strayed.splice(0)).toEqual([])
  expect(complaints.splice(0)).toEqual([])
})

describe.skipIf(!program)('GraphiQL with the network cut', () => {
  it('opens with the examples, and the first returns rows of the first tenant', async () => {
    const [first] = gateway.tenants
    expect(await page.locator('.graphiql-tab').first().textContent()).toContain(gateway.firstTab)
    await runUntil(first.mark)
    await expect.poll(() => page.workers().length, POLL).toBeGreaterThan(0)
    await page.screenshot({ path: join(SHOTS, 'graphiql-light.png') })
  })

  it('returns rows of the other tenant once it is chosen, in every tab', async () => {
    const [first, second] = gateway.tenants
    await runUntil(first.mark)
    await choose('Tenant', second.id)
    expect(await headerEditor()).toContain(`"X-Tenant-ID": "${second.id}"`)
    await runUntil(second.mark)
    expect(await answer()).not.toContain(first.mark)
    await openTab('TicketSearch')
    await expect.poll(() => editor('operation'), POLL).toContain('totalCount')
    expect(await headerEditor()).toContain(`"X-Tenant-ID": "${second.id}"`)
    await page.screenshot({ path: join(SHOTS, 'graphiql-switched.png') })
  })

  it('keeps an edited query and an own header over a switch, and adds no tab', async () => {
    const [, second] = gateway.tenants
    const tabs = await page.locator('.graphiql-tab').count()
    await type('request-headers', '{ "Authorization": "Bearer of before", "X-Mine": "1" }')
    await expect.poll(savedTabs, POLL).toContain('X-Mine')
    await type('operation', '# mine\nquery Mine { __typename }')
    await expect.poll(() => page.url(), POLL).toContain('Mine')
    await choose('Tenant', second.id)
    expect(await editor('operation')).toBe('# mine\nquery Mine { __typename }')
    expect(await headerEditor()).toContain('"X-Mine": "1"')
    expect(await headerEditor()).not.toContain('of before')
    expect(await headerEditor()).toContain(`"X-Tenant-ID": "${second.id}"`)
    expect(await page.locator('.graphiql-tab').count()).toBe(tabs)
    await page.getByRole('button', { name: 'Example queries' }).click()
    await opened()
    expect(await editor('operation')).not.toContain('# mine')
    expect(await page.locator('.graphiql-tab').count()).toBe(tabs)
  })

  it('changes the token with the role', async () => {
    const before = await headerEditor()
    await choose('Role', 'viewer')
    expect(await headerEditor()).not.toBe(before)
    expect(await page.getByLabel('Role').inputValue()).toBe('viewer')
  })

  it('opens a linked query beside the tabs that are there', async () => {
    const tabs = await page.locator('.graphiql-tab').count()
    await page.goto(`${gateway.url}/graphql?query=${encodeURIComponent('query Linked { __typename }')}`)
    await opened()
    expect(await editor('operation')).toBe('query Linked { __typename }')
    expect(await page.locator('.graphiql-tab').count()).toBe(tabs + 1)
  })

  it('stays on the tab in sight when it is loaded again', async () => {
    await type('operation', 'query Mine { __typename }')
    await expect.poll(() => page.url(), POLL).toContain('Mine')
    await openTab('TicketSearch')
    await expect.poll(() => page.url(), POLL).not.toContain('Mine')
    await page.reload()
    await opened()
    expect(await editor('operation')).toContain('totalCount')
  })

  it('survives a query too long for an address', async () => {
    const long = `query Long { ${'__typename '.repeat(3_000)}}`
    await type('operation', long)
    await expect.poll(savedTabs, POLL).toContain('query Long')
    expect(page.url()).not.toContain('query=')
    await page.reload()
    await opened()
    expect(await editor('operation')).toBe(long)
  })

  it('follows the system into the dark while it is open, and fits a narrow window', async () => {
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(() => page.locator('.monaco-editor.vs-dark').count(), POLL).toBe(4)
    await page.getByLabel('Show Documentation Explorer').click()
    await runUntil(gateway.tenants[0].mark)
    await page.screenshot({ path: join(SHOTS, 'graphiql-dark.png') })
    await page.setViewportSize({ width: 720, height: 640 })
    const [width, body] = (await page.evaluate('[innerWidth, document.body.scrollWidth]')) as [number, number]
    expect(body).toBeLessThanOrEqual(width)
    await page.screenshot({ path: join(SHOTS, 'graphiql-narrow.png') })
  })
})

async function choose(label: 'Tenant' | 'Role', value: string): Promise<void> {
  await Promise.all([page.waitForEvent('load'), page.getByLabel(label).selectOption(value)])
  await opened()
}

/** GraphiQL is there when its three editors hold a text. */
async function opened(): Promise<void> {
  await page.locator('.graphiql-execute-button').waitFor()
  await expect.poll(() => page.evaluate('globalThis.__MONACO?.editor.getModels().length'), POLL).toBe(4)
}

/** GraphiQL drops a click while it draws an answer, so click until the tab is in front. */
async function openTab(name: string): Promise<void> {
  const tab = page.locator('.graphiql-tab').filter({ hasText: name })
  const isOpen = async () => {
    await tab.locator('.graphiql-tab-button').click()
    return (await tab.getAttribute('class')) ?? ''
  }
  await expect.poll(isOpen, POLL).toContain('active')
}

async function runUntil(mark: string): Promise<void> {
  await page.getByRole('button', { name: /execute query/i }).click()
  await expect.poll(answer, POLL).toContain(mark)
}

type Editor = 'operation' | 'request-headers' | 'response'

// The editors draw only the lines in sight, so tests read the text behind them.
const model = `(name) => globalThis.__MONACO.editor.getModels().find((each) => each.uri.path.includes(name))`
const modelText = `(name) => (${model})(name)?.getValue() ?? ''`

const editor = async (name: Editor): Promise<string> =>
  String(await page.evaluate(`(${modelText})(${JSON.stringify(name)})`))
const headerEditor = (): Promise<string> => editor('request-headers')
const answer = (): Promise<string> => editor('response')

const type = (name: Editor, text: string): Promise<unknown> =>
  page.evaluate(`(${model})(${JSON.stringify(name)}).setValue(${JSON.stringify(text)})`)

const savedTabs = async (): Promise<string> =>
  String(await page.evaluate(`localStorage.getItem('shardgate:graphiql:tabState')`))

function startBrowser(executablePath: string): Promise<Browser> {
  return playwright.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** A visitor of their own, who reaches this machine alone. */
async function isolated(): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  await context.route('**', (route) => {
    const { hostname } = new URL(route.request().url())
    if (hostname === '127.0.0.1') return route.continue()
    strayed.push(route.request().url())
    return route.abort()
  })
  return context
}

/** The help desk behind a gateway in development mode, as `npm start` serves it. */
async function startGateway(): Promise<Gateway> {
  const helpdesk = await startHelpdesk()
  const served = await serve(helpdesk)
  const [first, second] = [...helpdesk.tenants].sort().map((id) => ({ id, mark: helpdesk.mark(id) }))
  return {
    url: new URL(served.url).origin,
    tenants: [first!, second!],
    firstTab: 'TicketList',
    async stop() {
      await served.stop()
      await helpdesk.stop()
    },
  }
}
