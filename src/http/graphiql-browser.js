/**
 * Runs in the browser: starts GraphiQL with the settings that the page carries, and switches tenant
 * and role.
 *
 * A switch loads the page again with another ?tenant= or ?role=, because only the server can sign a
 * token. The tabs are kept over it, and each load writes its token into the headers of every tab:
 * no tab can go on asking as the tenant before. Other headers that a person typed stay as they are.
 */

const settings = JSON.parse(document.getElementById('settings').textContent)

globalThis.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_, label) => settings.workers[label] ?? settings.workers.editorWorkerService,
}

// Many a project serves a GraphiQL from localhost:4000; with a prefix none finds the tabs of another.
const PREFIX = 'shardgate:'
const storage = {
  getItem: (key) => localStorage.getItem(PREFIX + key),
  setItem: (key, value) => localStorage.setItem(PREFIX + key, value),
  removeItem: (key) => localStorage.removeItem(PREFIX + key),
  clear: () => {
    for (const key of ownKeys()) storage.removeItem(key)
  },
  get length() {
    return ownKeys().length
  },
}
const ownKeys = () =>
  Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => key.slice(PREFIX.length))

const TABS = 'graphiql:tabState'

function storedTabs() {
  try {
    const state = JSON.parse(storage.getItem(TABS))
    return state.tabs[state.activeTabIndex] ? state : null
  } catch {
    return null
  }
}

const operationName = (query) => /^(?!#).*(?:query|subscription|mutation)\s+(\w+)/m.exec(query)?.[1] ?? null

function newTab(query) {
  const name = operationName(query)
  const empty = { variables: null, headers: null, response: null }
  return { ...empty, id: crypto.randomUUID(), title: name ?? '<untitled>', query, operationName: name }
}

function exampleTabs() {
  const tabs = settings.examples.map(({ title, query }) => newTab(`# ${title}\n\n${query}\n`))
  return { activeTabIndex: 0, tabs: tabs.length ? tabs : [newTab('{\n  __typename\n}\n')] }
}

/** Headers of a tab with this page's token in them. */
function signed(headers) {
  let typed = {}
  try {
    typed = JSON.parse(headers) ?? {}
  } catch {
    // Half typed JSON cannot be sent either.
  }
  return JSON.stringify({ ...typed, ...settings.headers }, null, 2)
}

function openTabs() {
  const { activeTabIndex, tabs } = storedTabs() ?? exampleTabs()
  const state = { activeTabIndex, tabs: tabs.map((tab) => ({ ...tab, headers: signed(tab.headers) })) }
  const linked = new URL(location.href).searchParams.get('query')
  if (linked !== null && linked !== (tabs[activeTabIndex].query ?? '')) showQuery(state, linked)
  return state
}

function showQuery(state, query) {
  const at = state.tabs.findIndex((tab) => (tab.query ?? '') === query)
  state.activeTabIndex = at < 0 ? state.tabs.length : at
  if (at < 0) state.tabs.push({ ...newTab(query), headers: signed(null) })
}

let latest = openTabs()
const keepTabs = () =>
  storage.setItem(TABS, JSON.stringify({ ...latest, tabs: latest.tabs.map(withoutAnswer) }))
const withoutAnswer = (tab) => ({ ...tab, response: null, hash: null })

// GraphiQL saves its tabs half a second late, and a switch may come sooner.
addEventListener('pagehide', keepTabs)

function load(change) {
  const url = new URL(location.href)
  change(url.searchParams)
  location.assign(url)
}

for (const name of ['tenant', 'role']) {
  document.getElementById(name)?.addEventListener('change', (event) => {
    load((parameters) => parameters.set(name, event.target.value))
  })
}

document.getElementById('examples').addEventListener('click', () => {
  latest = exampleTabs()
  load((parameters) => parameters.delete('query'))
})

// Node refuses a request line beyond 16 KiB, so a longer query is kept in its tab alone.
const LINK_LENGTH_MAX = 8_000

/** The address is a link to the query in sight. */
function showLink(query) {
  const url = new URL(location.href)
  url.searchParams.set('query', query)
  if (url.href.length > LINK_LENGTH_MAX) url.searchParams.delete('query')
  history.replaceState({}, '', url)
}

// GraphiQL asks the system for its colours once; the editors would stay dark on dark until a reload.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', ({ matches }) => {
  const chosen = storage.getItem('graphiql:theme')
  if (!chosen) globalThis.__MONACO?.editor.setTheme(matches ? 'graphiql-DARK' : 'graphiql-LIGHT')
})

function start() {
  keepTabs()
  const active = latest.tabs[latest.activeTabIndex]
  storage.setItem('graphiql:query', active.query ?? '')
  storage.setItem('graphiql:variables', active.variables ?? '')
  globalThis.YogaGraphiQL.renderYogaGraphiQL(document.getElementById('graphiql'), {
    endpoint: settings.endpoint,
    title: 'GraphiQL',
    logo: '', // Yoga's, unless there is another; ours is in the bar.
    storage,
    query: active.query,
    initialHeaders: active.headers,
    headers: signed(null),
    shouldPersistHeaders: true,
    onTabChange: (state) => {
      latest = state
      showLink(state.tabs[state.activeTabIndex].query ?? '')
    },
  })
}

start()
