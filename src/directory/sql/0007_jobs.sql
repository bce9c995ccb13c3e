-- Turns of tenants in the queue of jobs: how much of its share each of them has had (control/jobs/turns.ts). The jobs
-- themselves are pg-boss's, in a schema of its own (control/jobs/install.ts).
--
-- Only tenants that are ahead of the others have a row. The row of '' is the clock: where the others are.

create table directory.job_turn (
  tenant_id text primary key, -- no reference: a turn outlives its tenant, for a moment
  turn      double precision not null
);
