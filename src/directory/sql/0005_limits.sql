-- Limits of a tenant's own, over those of its plan in the configuration (tenant/limits.ts): names and whole numbers.

alter table directory.tenant
  add column limits jsonb not null default '{}' check (jsonb_typeof(limits) = 'object');
