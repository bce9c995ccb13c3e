/**
 * A door that tells the cache of each write that has ended, before its caller knows. Whatever writes goes through a
 * door: both lanes, extensions and jobs, so that none of them has to think of it.
 */

import type { Door, TenantSession } from '../../shards/door.ts'
import { isUndone } from '../compiled/settled.ts'
import type { AnswerCache } from './answers.ts'

export function tellingDoor(door: Door, cache: AnswerCache): Door {
  const batch: Door['batch'] = async (tenant, mode, deadline, statements) => {
    const results = await door.batch(tenant, mode, deadline, statements).catch(async (error: unknown) => {
      if (cache.isOn && !isUndone(error)) await cache.doubted(tenant, deadline)
      throw error
    })
    if (cache.isOn)
      await cache.changed(
        tenant,
        statements.flatMap((statement, i) => cache.namesOf(statement, results[i] ?? [])),
      )
    return results
  }

  const withTenant: Door['withTenant'] = async (tenant, mode, deadline, work) => {
    const names = new Set<string>()
    let mayBeKept = false
    const noting = (session: TenantSession): TenantSession => ({
      ...session,
      async run(statement) {
        const rows = await session.run(statement)
        for (const name of cache.namesOf(statement, rows)) names.add(name)
        return rows
      },
    })
    const value = await door
      .withTenant(tenant, mode, deadline, async (session) => {
        const outcome = await work(noting(session))
        mayBeKept = outcome.keep
        return outcome
      })
      .catch(async (error: unknown) => {
        if (cache.isOn && mayBeKept && !isUndone(error)) await cache.doubted(tenant, deadline)
        throw error
      })
    if (cache.isOn && mayBeKept) await cache.changed(tenant, [...names])
    return value
  }

  return {
    batch: (tenant, mode, deadline, statements) =>
      (mode === 'read' ? door.batch : batch)(tenant, mode, deadline, statements),
    withTenant: (tenant, mode, deadline, work) =>
      (mode === 'read' ? door.withTenant : withTenant)(tenant, mode, deadline, work),
  }
}
