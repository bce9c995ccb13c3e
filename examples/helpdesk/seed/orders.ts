/** Rows of orders and their items. */

import { DAY, dateText, isRecent, madeAt, timeText } from './moments.ts'
import type { Scene } from './people.ts'
import { uuidFor } from './random.ts'
import type { Cell } from './tables.ts'
import { ARTICLES, CITIES, COUNTRIES, STREETS } from './words.ts'

/** What tickets must know of order `n`. */
export interface Order {
  readonly id: string
  readonly customer: number
}

// The uuid leaves the tenant out: order n has the same id in every tenant. A statement that forgets its
// tenant then finds several rows, where unique ids would have hidden the mistake.
export function orderAt(scene: Scene, n: number): Order {
  const random = scene.random('orders.customer', n)
  return { id: uuidFor(scene.seed, 'orders', n), customer: 1 + random.below(scene.sizes.users) }
}

export function orderRow(scene: Scene, n: number): Cell[] {
  const random = scene.random('orders', n)
  const { id, customer } = orderAt(scene, n)
  const created = madeAt(n, scene.sizes.orders, (row) => scene.random('orders.time', row))
  return [
    scene.tenant.id,
    id,
    String(customer),
    isRecent(created)
      ? random.pick(['open', 'paid'])
      : random.pick(['paid', 'shipped', 'shipped', 'shipped', 'returned', 'cancelled']),
    random.pick(['EUR', 'EUR', 'EUR', 'USD', 'GBP', 'JPY']),
    random.pick(['0.1900', '0.2000', '0.0700', '0.0825', '0.0000']),
    JSON.stringify(address(scene, n)),
    dateText(created),
    random.chance(80) ? dateText(created + random.between(1, 14) * DAY) : null,
    timeText(created),
  ]
}

function address(scene: Scene, n: number): object {
  const random = scene.random('orders.address', n)
  const city = random.below(CITIES.length)
  return {
    name: `${scene.tenant.name}, desk ${random.between(1, 400)}`,
    street: `${random.pick(STREETS)} ${random.between(1, 180)}`,
    city: CITIES[city],
    postcode: String(random.between(10_000, 99_999)),
    country: COUNTRIES[city],
  }
}

/** Items of order `n`, the first of them with the id `firstId`. */
export function* itemRows(scene: Scene, n: number, firstId: number): Generator<Cell[]> {
  const random = scene.random('order_items', n)
  const { id: order } = orderAt(scene, n)
  const count = random.between(1, 4)
  for (let i = 0; i < count; i++) {
    const article = random.below(ARTICLES.length)
    yield [
      scene.tenant.id,
      String(firstId + i),
      order,
      String(i + 1),
      `HD-${String(1_000 + article * 37)}`,
      ARTICLES[article]!,
      String(random.chance(70) ? 1 : random.between(2, 12)),
      String(random.between(99, 24_999)),
      random.chance(85) ? `${random.below(9)}.${String(random.between(1, 999)).padStart(3, '0')}` : null,
    ]
  }
}
