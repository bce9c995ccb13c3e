/** `shardgate token`: a signed token for development, or for an operator. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config, IssuerConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import { systemClock } from '../base/time.ts'
import { onDirectory } from '../control/reach.ts'
import { findTenant } from '../directory/tenants.ts'
import { issueToken } from '../tenant/issue.ts'
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
      const issuer = signingIssuer(config, options.issuer)
      await requireTenant(config, tenant)
      const token = await signed(issuer, tenant, options)
      context.print({ token, tenant, roles: options.role, ttlS: options.ttl, issuer: issuer.issuer }, textOf)
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

const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const

function signingIssuer(config: Config, name: string | undefined): IssuerConfig {
  const withSecret = config.tokens.filter((issuer) => issuer.secrets.length > 0)
  const chosen = withSecret.find((issuer) => name === undefined || issuer.issuer === name)
  if (chosen) return chosen
  const names = withSecret.map((issuer) => issuer.issuer).join(', ')
  return fail(
    'USAGE',
    name === undefined
      ? 'No issuer of the configuration has a secret; its tokens come from your identity provider.'
      : `No issuer "${name}" has a secret; those that have: ${names || 'none'}.`,
  )
}

function signed(issuer: IssuerConfig, tenant: TenantId, options: TokenOptions): Promise<string> {
  const algorithm = SECRET_ALGORITHMS.find((known) => issuer.algorithms.includes(known))
  if (!algorithm) fail('USAGE', `Issuer "${issuer.issuer}" has a secret but no algorithm that uses one.`)
  return issueToken({
    secret: issuer.secrets[0] ?? '',
    issuer: issuer.issuer,
    audience: issuer.audience,
    tenantClaim: issuer.tenantClaim,
    rolesClaim: issuer.rolesClaim,
    type: issuer.type,
    algorithm,
    tenant,
    roles: options.role,
    subject: options.subject,
    ttlS: options.ttl,
    clock: systemClock,
  })
}
