/**
 * PostGraphile 5 on its own HTTP server: Amber preset, filters and aggregates by the plugins that its documentation
 * names, production mode, no GraphiQL, no watching.
 *
 * Two things are set in its favour. It orders and filters only by columns that lead an index, and here the tenant
 * leads each: that plugin is off. And it need not switch roles: it connects as the one that may do no more.
 */

import { createServer } from 'node:http'
import { PgAggregatesPreset } from '@graphile/pg-aggregates'
import type {} from 'grafast'
import { postgraphile } from 'postgraphile'
import { makePgService } from 'postgraphile/adaptors/pg'
import { grafserv } from 'postgraphile/grafserv/node'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'
import { PostGraphileConnectionFilterPreset } from 'postgraphile-plugin-connection-filter'
import { tenantOf } from './token.ts'

const { PORT, DATABASE_URL = '' } = process.env

const preset: GraphileConfig.Preset = {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset, PgAggregatesPreset],
  disablePlugins: ['PgIndexBehaviorsPlugin'],
  pgServices: [
    makePgService({ connectionString: DATABASE_URL, schemas: ['bench'], poolConfig: { max: 10 } }),
  ],
  gather: { installWatchFixtures: false },
  grafserv: { graphiql: false, watch: false },
  grafast: {
    explain: false,
    context: (request) => ({
      pgSettings: { 'app.current_tenant_id': tenantOf(request.node?.req.headers.authorization) },
    }),
  },
}

const server = createServer()
const instance = postgraphile(preset)
if (process.argv.includes('--print')) {
  const { printSchema } = await import('graphql')
  console.log(printSchema((await instance.getSchemaResult()).schema))
  process.exit()
}
await instance.createServ(grafserv).addTo(server)
server.keepAliveTimeout = 65_000
server.listen(Number(PORT), '127.0.0.1')
