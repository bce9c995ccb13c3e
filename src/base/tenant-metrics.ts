/** The metric families about tenants: how many are active, and the busiest by name where that is wanted. */

import { Counter, Gauge, type Registry } from 'prom-client'
import { ActiveTenants } from './active-tenants.ts'
import type { Event } from './events.ts'
import { TopTenants } from './top-tenants.ts'

/** Told of each request of a tenant that is known. */
export type CountTenant = (event: Extract<Event, { kind: 'request.done' }>) => void

/** @param top  tenants with series of their own; 0 for none, and no label then */
export function tenantMetrics(registry: Registry, top: number): CountTenant {
  const active = new ActiveTenants()
  new Gauge({
    name: 'gateway_tenants_active',
    help: 'Tenants that have asked this gateway in the last five minutes',
    registers: [registry],
    collect() {
      this.set(active.count)
    },
  })
  const busiest = top > 0 ? topTenants(registry, top) : undefined
  return ({ tenant, shard, durationMs }) => {
    // Without a shard it is a name out of a token, and no tenant of ours.
    if (tenant === undefined || shard === undefined) return
    active.saw(tenant)
    busiest?.count(tenant, durationMs / 1000)
  }
}

function topTenants(registry: Registry, places: number): TopTenants {
  const tenants = new TopTenants(places)
  const counter = (name: string, help: string, of: 'requests' | 'seconds'): void => {
    new Counter({
      name,
      help,
      labelNames: ['tenant'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [tenant, totals] of tenants.totals()) this.inc({ tenant }, totals[of])
      },
    })
  }
  counter('gateway_tenant_requests_total', 'Requests of the busiest tenants, and of all others', 'requests')
  counter('gateway_tenant_request_seconds_total', 'Seconds that those requests took', 'seconds')
  return tenants
}
