/** Another database of the server that a connection string leads to. */

/** `url` with the database `name` in place of its own. */
export function databaseUrl(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(name)}`
  return changed.href
}
