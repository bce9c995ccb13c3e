-- Moves: how far the changes of a tenant that comes to this database, or is followed back to it, have been applied.
-- Written in the transactions that apply them, so that each is applied once. Applied by control/install.ts as
-- shardgate_owner; safe to apply again.

create table if not exists shardgate.move_progress (
  move      bigint not null,
  direction text not null check (direction in ('forward', 'back')),
  lsn       pg_lsn not null, -- end of the last transaction of the other side that is applied here
  primary key (move, direction)
);
comment on table shardgate.move_progress is 'How far the changes of moving tenants are applied here.';
grant select, insert, update, delete on shardgate.move_progress to shardgate_mover;

-- Answers by idempotency key follow a tenant that writes while it is moved.
grant update on shardgate.idempotency to shardgate_mover;
