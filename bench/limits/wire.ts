/**
 * The database side of a limit: a few pipelined connections, and one batch per request: the tenant is set for this
 * transaction and one prepared statement runs, with one Sync and no BEGIN or COMMIT.
 *
 * Written apart from src/db/ on purpose: a limit that shared the gateway's code would share its faults.
 */

import pg from 'pg'

export type Row = readonly (string | null)[]

export interface Statement {
  readonly name: string
  readonly text: string
}

export type Run = (tenant: string, statement: Statement, values: readonly string[]) => Promise<Row[]>

const SET_TENANT: Statement = {
  name: 'tenant',
  text: `select set_config('app.current_tenant_id', $1, true)`,
}

interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { name: string; text: string; types: number[] }): void
  bind(message: { statement: string; portal: string; values: readonly string[] }): void
  execute(message: { portal: string; rows: number }): void
  sync(): void
}

const PgQuery = pg.Query as unknown as new (config: { text: string }) => object

interface Question {
  readonly toParse: readonly Statement[]
  readonly tenant: string
  readonly statement: Statement
  readonly values: readonly string[]
}

class Batch extends PgQuery {
  readonly #question: Question
  readonly #settle: (error: Error | null, rows: Row[]) => void
  readonly #rows: Row[] = []
  #isTenantSet = false
  callback: (error: Error | null) => void

  constructor(question: Question, settle: (error: Error | null, rows: Row[]) => void) {
    super({ text: '' })
    this.#question = question
    this.#settle = settle
    this.callback = (error) => settle(error, this.#rows)
  }

  submit(wire: Wire): null {
    const { toParse, tenant, statement, values } = this.#question
    wire.stream.cork()
    for (const { name, text } of toParse) wire.parse({ name, text, types: [] })
    wire.bind({ statement: SET_TENANT.name, portal: '', values: [tenant] })
    wire.execute({ portal: '', rows: 0 })
    wire.bind({ statement: statement.name, portal: '', values })
    wire.execute({ portal: '', rows: 0 })
    wire.sync()
    wire.stream.uncork()
    return null
  }

  handleRowDescription(): void {}

  handleDataRow({ fields }: { fields: Row }): void {
    if (this.#isTenantSet) this.#rows.push(fields)
  }

  handleCommandComplete(): void {
    this.#isTenantSet = true
  }

  handleError(error: Error): void {
    this.#settle(error, [])
  }

  handleReadyForQuery(): void {
    this.#settle(null, this.#rows)
  }
}

class Connection {
  inFlight = 0
  readonly #prepared = new Set<string>()
  readonly #client: pg.Client

  constructor(url: string) {
    const config = { connectionString: url, pipeline: true, options: '-c plan_cache_mode=force_generic_plan' }
    this.#client = new pg.Client(config as pg.ClientConfig)
  }

  connect(): Promise<unknown> {
    return this.#client.connect()
  }

  run(tenant: string, statement: Statement, values: readonly string[]): Promise<Row[]> {
    const toParse = [SET_TENANT, statement].filter(({ name }) => !this.#prepared.has(name))
    for (const { name } of toParse) this.#prepared.add(name)
    this.inFlight++
    return new Promise((resolve, reject) => {
      const batch = new Batch({ toParse, tenant, statement, values }, (error, rows) => {
        this.inFlight--
        if (error) reject(error)
        else resolve(rows)
      })
      this.#client.query(batch as unknown as pg.Submittable)
    })
  }
}

/** Open `count` connections; each batch goes to the one with the fewest in flight. */
export async function openConnections(url: string, count: number): Promise<Run> {
  const connections = Array.from({ length: count }, () => new Connection(url))
  await Promise.all(connections.map((connection) => connection.connect()))
  return (tenant, statement, values) =>
    connections
      .reduce((least, other) => (other.inFlight < least.inFlight ? other : least))
      .run(tenant, statement, values)
}
