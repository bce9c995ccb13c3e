/** Rows of tickets, comments, and of the tags on tickets. */

import { DAY, dateText, HOUR, isRecent, madeAt, SECOND, timeText } from './moments.ts'
import { orderAt } from './orders.ts'
import type { Scene } from './people.ts'
import type { Random } from './random.ts'
import { arrayText, type Cell } from './tables.ts'
import {
  ANSWERS,
  CLOSINGS,
  FOREIGN_SUBJECTS,
  GREETINGS,
  NOTES,
  REPLIES,
  SENTENCES,
  THINGS,
  TROUBLES,
} from './words.ts'

interface Ticket {
  readonly author: number
  readonly assignee: number | null
  readonly order: string | null
  readonly status: string
  readonly created: number
}

// Comments need these of their ticket. They are worked out again rather than kept, so that a tenant of a
// million tickets needs no more memory than one of ten.
function ticketAt(scene: Scene, n: number): Ticket {
  const random = scene.random('tickets', n)
  const { sizes } = scene
  const created = madeAt(n, sizes.tickets, (row) => scene.random('tickets.time', row))
  const status = random.pick(
    isRecent(created)
      ? ['new', 'new', 'open', 'waiting', 'resolved']
      : ['open', 'resolved', 'closed', 'closed', 'closed', 'closed'],
  )
  const order = random.chance(20) ? orderAt(scene, 1 + random.below(sizes.orders)) : null
  return {
    author: order?.customer ?? author(scene, random),
    assignee: status === 'new' ? null : 1 + random.below(sizes.agents),
    order: order?.id ?? null,
    status,
    created,
  }
}

// The smaller of two draws: a few people write most of the tickets.
function author(scene: Scene, random: Random): number {
  const { users, agents } = scene.sizes
  return agents + 1 + Math.min(random.below(users - agents), random.below(users - agents))
}

export function ticketRow(scene: Scene, n: number): Cell[] {
  const ticket = ticketAt(scene, n)
  const random = scene.random('tickets.text', n)
  const done = ticket.status === 'resolved' || ticket.status === 'closed'
  const changed = ticket.created + random.between(1, 200) * HOUR + random.below(SECOND)
  return [
    scene.tenant.id,
    String(n),
    subject(random),
    body(scene, random),
    ticket.status,
    random.pick(['low', 'normal', 'normal', 'normal', 'high', 'urgent']),
    random.pick(['email', 'email', 'web', 'web', 'chat', 'phone']),
    String(ticket.author),
    ticket.assignee === null ? null : String(ticket.assignee),
    random.chance(75) ? String(1 + random.below(scene.sizes.teams)) : null,
    ticket.order,
    arrayText(random.chance(15) ? [`office+${random.below(50)}@${scene.tenant.subdomain}.example`] : []),
    JSON.stringify(metadata(random)),
    done && random.chance(45) ? String(random.pick([1, 2, 3, 4, 4, 5, 5, 5])) : null,
    random.chance(25) ? dateText(ticket.created + random.between(1, 30) * DAY) : null,
    timeText(ticket.created),
    timeText(ticket.status === 'new' ? ticket.created : changed),
    done ? timeText(changed) : null,
  ]
}

function subject(random: Random): string {
  if (random.chance(8)) return random.pick(FOREIGN_SUBJECTS)
  const sentence = `The ${random.pick(THINGS)} ${random.pick(TROUBLES)}`
  return random.chance(10) ? `Re: ${sentence}` : sentence
}

function body(scene: Scene, random: Random): string {
  const sentences = Array.from({ length: random.between(1, 4) }, () => random.pick(SENTENCES))
  const who = random.chance(30) ? `${random.pick(CLOSINGS)}\n${scene.tenant.name}` : random.pick(CLOSINGS)
  return `${random.pick(GREETINGS)}\n\n${sentences.join(' ')}\n\n${who}`
}

function metadata(random: Random): object {
  const client = random.pick(['web', 'ios', 'android', 'mail'])
  if (client === 'mail') return { client }
  return {
    client,
    version: `${random.between(1, 4)}.${random.below(20)}.${random.below(9)}`,
    page: random.pick(['/orders', '/settings/profile', '/search?q=r%C3%BCckgabe', '/']),
    flags: ['beta', 'new-editor', 'long-session'].filter(() => random.chance(25)),
  }
}

/** Comments on ticket `n`, the first of them with the id `firstId`; about every third answers another. */
export function* commentRows(scene: Scene, n: number, firstId: number): Generator<Cell[]> {
  const ticket = ticketAt(scene, n)
  const random = scene.random('comments', n)
  const count = random.below(7)
  let moment = ticket.created
  for (let i = 0; i < count; i++) {
    moment += random.between(1, 48 * 3_600) * SECOND + random.below(SECOND)
    const agent = ticket.assignee !== null && random.chance(55)
    const internal = agent && random.chance(15)
    yield [
      scene.tenant.id,
      String(firstId + i),
      String(n),
      String(agent ? ticket.assignee : ticket.author),
      i > 0 && random.chance(35) ? String(firstId + random.below(i)) : null,
      random.pick(internal ? NOTES : agent ? ANSWERS : REPLIES),
      String(internal),
      timeText(moment),
      random.chance(5) ? timeText(moment + random.between(60, 900) * SECOND) : null,
    ]
  }
}

/** Tags of ticket `n`: none to four, each once. */
export function* ticketTagRows(scene: Scene, n: number): Generator<Cell[]> {
  const random = scene.random('ticket_tags', n)
  const tags = new Set(Array.from({ length: random.below(5) }, () => 1 + random.below(scene.sizes.tags)))
  for (const tag of tags) yield [scene.tenant.id, String(n), String(tag)]
}
