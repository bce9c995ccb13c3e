/** Rows of users, teams, team members and tags. Row `n` follows from the seed, the tenant and `n` alone. */

import { DAY, dateText, HOUR, isRecent, madeAt, timeText } from './moments.ts'
import { type Random, randomFor } from './random.ts'
import { arrayText, type Cell } from './tables.ts'
import type { SeedTenant, Sizes } from './tenants.ts'
import { FIRST_NAMES, LAST_NAMES, LOCALES, SKILLS, TAGS, TEAMS, THEMES } from './words.ts'

/** What every row needs: whose it is, how many rows there are, and the random stream of a row. */
export interface Scene {
  readonly seed: number
  readonly tenant: SeedTenant
  readonly sizes: Sizes
  random(table: string, n: number): Random
}

export function sceneOf(seed: number, tenant: SeedTenant, sizes: Sizes): Scene {
  return { seed, tenant, sizes, random: (table, n) => randomFor(seed, tenant.id, table, n) }
}

/** The whole numbers from 1 to `count`. */
export function* upTo(count: number): Generator<number> {
  for (let n = 1; n <= count; n++) yield n
}

export function userRow(scene: Scene, n: number): Cell[] {
  const random = scene.random('users', n)
  const [email, name] = person(scene, n, random)
  const created = madeAt(n, scene.sizes.users, (row) => scene.random('users.time', row))
  const agent = n <= scene.sizes.agents
  const preferences = { theme: random.pick(THEMES), locale: random.pick(LOCALES), mails: random.chance(80) }
  return [
    scene.tenant.id,
    String(n),
    email,
    name,
    n === 1 ? 'admin' : agent ? 'agent' : 'requester',
    String(agent || !random.chance(6)),
    arrayText(agent ? SKILLS.filter(() => random.chance(30)) : []),
    JSON.stringify(preferences),
    random.chance(30) ? dateText(created - random.between(20 * 365, 60 * 365) * DAY) : null,
    timeText(created),
    random.chance(85) ? timeText(created + random.below(20 * 24) * HOUR) : null,
  ]
}

// User 2 works for a partner and has one address everywhere: unique in a tenant, not in the world.
function person(scene: Scene, n: number, random: Random): [email: string, name: string] {
  if (n === 2) return ['sam.rivera@partner.example', 'Sam Rivera']
  const [first, asciiFirst] = random.pick(FIRST_NAMES)
  const [last, asciiLast] = random.pick(LAST_NAMES)
  return [`${asciiFirst}.${asciiLast}.${n}@${scene.tenant.subdomain}.example`, `${first} ${last}`]
}

export function teamRow(scene: Scene, n: number): Cell[] {
  const random = scene.random('teams', n)
  const [name, does] = TEAMS[(n - 1) % TEAMS.length]!
  const created = madeAt(n, scene.sizes.teams * 20, (row) => scene.random('teams.time', row))
  return [
    scene.tenant.id,
    String(n),
    n > TEAMS.length ? `${name} ${n}` : name,
    random.chance(85) ? does : null,
    String(teamLead(scene, n)),
    random.pick(['00:30:00', '04:00:00', '1 day', '2 days 12:00:00']),
    timeText(created),
  ]
}

function teamLead(scene: Scene, team: number): number {
  return 1 + ((team - 1) % scene.sizes.agents)
}

/** A team's members: its lead and the agents that follow, so that nobody is in it twice. */
export function* memberRows(scene: Scene, team: number): Generator<Cell[]> {
  const random = scene.random('team_members', team)
  const count = Math.min(scene.sizes.agents, random.between(2, 8))
  for (let i = 0; i < count; i++) {
    const user = 1 + ((teamLead(scene, team) - 1 + i) % scene.sizes.agents)
    const joined = madeAt(1 + random.below(100), 100, () => random)
    yield [scene.tenant.id, String(team), String(user), dateText(joined)]
  }
}

export function tagRow(scene: Scene, n: number): Cell[] {
  const random = scene.random('tags', n)
  const name = TAGS[(n - 1) % TAGS.length]!
  const created = madeAt(n, scene.sizes.tags, (row) => scene.random('tags.time', row))
  return [
    scene.tenant.id,
    String(n),
    n > TAGS.length ? `${name} ${n}` : name,
    `#${random.below(0x1_00_00_00).toString(16).padStart(6, '0')}`,
    timeText(isRecent(created) ? created - 60 * DAY : created),
  ]
}
