/** `shardgate token`: a signed token for development, or for an operator. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import { onDirectory } from '../control/reach.ts'
import { findTenant } from '../directory/tenants.ts'
import { signToken } from '../tenant/sign.ts'
import { ROLES, type Role } from '../tenant/types.ts'
import { configOf, type MakeContext } from './context.ts'
import { seconds } from './parse.ts'
import { unknownTenant } from './tenant.ts'

const DEFAULT_ROLES: readonly Role[] = ['member']

interface TokenOptions {
  readonly role: readonly Role[]
  readonly subject: string
  readonly ttl: number
  readonly issuer?: string
}

export function addTokenCommand(program: Command, contextOf: MakeContext): void {
  program
    .command('token')
    .argument('<tenant>', 'id of the tenant')
    .description('Sign a token with the secret of the configuration. It is shown once and kept nowhere.')
    .addOption(
      new Option('--role <role>', `what it may do; repeat for several (choices: ${ROLES.join(', ')})`)
        .argParser(addRole)
        .default(DEFAULT_ROLES, 'member'),
    )
    .option('--subject <name>', 'the "sub" claim', 'shardgate-cli')
    .addOption(
      new Option('--ttl <duration>', 'how long it lives: 30s, 15m, 8h, 7d')
        .argParser(seconds)
        .default(3_600, '1h'),
    )
    .option('--issuer <name>', 'which of the issuers with a secret (default: the first)')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate token acme\n  shardgate token acme --role admin --ttl 8h\n  curl -H "authorization: Bearer $(shardgate token acme)" …',
    )
    .action(async (id: string, options: TokenOptions, command: Command) => {
      const context = contextOf(command)
      const tenant = tenantId(id)
      const config = configOf(context)
      await requireTenant(config, tenant)
      const request = { tenant, roles: options.role, subject: options.subject, ttlS: options.ttl }
      const signed = await signToken(config.tokens, { ...request, issuer: options.issuer })
      context.print({ ...signed, ...request }, textOf)
    })
}

// Not commander's list of values behind one option: `token --role admin acme` would take acme for a role.
function addRole(text: string, before: readonly Role[]): readonly Role[] {
  const role = ROLES.find((known) => known === text)
  if (!role) throw new InvalidArgumentError(`Wanted one of ${ROLES.join(', ')}.`)
  return before === DEFAULT_ROLES ? [role] : [...before, role]
}

const textOf = ({ token }: { token: string }): string => `${token}\n`

// A token for a mistyped tenant is signed as easily as any other, and fails much later and elsewhere.
async function requireTenant(config: Config, tenant: TenantId): Promise<void> {
  const found = await onDirectory(config.directory.url, (db) => findTenant(db, tenant))
  if (!found) unknownTenant(tenant)
}
