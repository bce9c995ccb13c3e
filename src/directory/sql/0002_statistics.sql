-- What lists the gateways have run on each shard, by their shape: how often, how long, how many rows. For
-- index advice (control/index-advice.ts); nothing else depends on it, and it may be emptied at any time.
--
-- Written by directory/statistics.ts, which adds to what is there and removes shapes that are no longer seen.

create table directory.list_statistic (
  shard    text not null,
  shape_id text not null, -- SHA-256 of the shape, in hex
  shape    jsonb not null,
  calls    bigint not null,
  total_ms double precision not null,
  rows     bigint not null,
  seen_at  timestamptz not null default now(),
  primary key (shard, shape_id)
);
create index list_statistic_seen_at on directory.list_statistic (seen_at);
