/** Tasks with many equal values and nulls, so that ties and the places of nulls decide. */

import type { World, WorldTenant } from './shard-fixture.ts'

/** @param title  what each title begins with; four of them differ */
export async function addTiedTasks(world: World, tenant: WorldTenant, title = 'task '): Promise<void> {
  await world.sql(
    tenant.shard,
    `insert into app.tasks (tenant_id, id, project_id, title, state, effort, due_on, done)
     select $1, 1000 + n, (select min(id) from app.projects where tenant_id = $1), $2::text || n % 4,
       (array['todo', 'doing', 'done'])[1 + n % 3]::app.task_state,
       case when n % 3 = 0 then null else n % 5 end,
       case when n % 4 = 0 then null else date '2026-01-01' + n % 3 end, n % 2 = 0
     from generate_series(1, 60) n`,
    [tenant.id, title],
  )
}
