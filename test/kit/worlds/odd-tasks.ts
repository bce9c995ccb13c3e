/** Rows for the test world at the edges of what its columns hold, with ties and nulls in every order. */

import type { World } from '../shard-fixture.ts'

const STATEMENTS = [
  `insert into app.projects (tenant_id, id, name, budget_cents, share, notes, aliases, logo, created_at) values
    ($1, -9223372036854775808, E'größe — 日本語 — \u{1F469}\u200D\u{1F680} "quoted" \\\\ \\n\\t\u0001', 9223372036854775807, 'NaN',
      '{"n": 12345678901234567890.12345678901234567890, "__proto__": {"": [1.50, null]}, "2": 1, "1": 2}', '{}', '', 'infinity'),
    ($1, 0, '', 0, 999999999999999999.99, 'null', array['', null, 'null', '{}', 'a,b', '"'], null, '-infinity'),
    ($1, 9007199254740993, ' ', -1, null, '"\\ud83d\\ude00"', '{NULL}', '\\x00ff', '0001-12-31 23:59:59.000001+00 BC'),
    ($1, 3, 'Name', 0, -0.01, '[]', '{}', null, '2026-02-28 23:59:59.999999+00'),
    ($1, 4, 'name', 0, -0.01, '0', '{}', null, '2026-02-28 23:59:59.999998+00')`,
  `insert into app.tasks (tenant_id, id, project_id, parent_id, title, state, effort, due_on, done)
    select $1, 100 + n, (array[0, 3, 4, 9007199254740993, -9223372036854775808])[1 + n % 4], nullif(n % 3, 0),
      (array['tie', 'Tie', E'\\u2028', '"\\', 'ß'])[1 + n % 5], (array['todo', 'doing', 'done'])[1 + n % 3]::app.task_state,
      case n % 4 when 0 then null when 1 then 9223372036854775807 else n % 3 end,
      (array['infinity', '-infinity', '0044-03-15 BC', '2024-02-29', null])[1 + n % 5]::date, n % 2 = 0
    from generate_series(1, 30) n`,
  `insert into app.labels (tenant_id, task_id, word)
    select $1, 101 + n % 4, (array['', 'tie', 'Tie', E'\\u0001', '🙂', 'a\\b"c'])[1 + n % 6] from generate_series(1, 24) n
    on conflict do nothing`,
]

/** Give every tenant the same odd rows beside its own. */
export async function addOddRows(world: World): Promise<void> {
  for (const { id, shard } of world.tenants) {
    for (const statement of STATEMENTS) await world.sql(shard, statement, [id])
  }
}
