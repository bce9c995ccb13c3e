/**
 * The image and the compose file, held against the configuration, the command line and the files that they
 * name. No container engine is needed; what an engine would refuse later is refused here.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type Config, EMBEDDED, loadConfig } from '../../src/base/config.ts'
import { commandLine } from '../../src/commands/program.ts'
import { composeFile, dockerStages, exampleEnvironment, read, variablesOf } from './compose-file.ts'
import { fileVariables, VARIABLES } from './configuration-page.ts'

const TOP = join(import.meta.dirname, '../..')
const verbs = commandLine({ out() {}, err() {}, colour: false }, () =>
  Promise.reject(new Error('not run')),
).commands
const exists = (path: string): boolean => existsSync(join(TOP, path))

const secrets = Object.fromEntries(
  [...exampleEnvironment().keys()].map((name) => [name, `${name}-`.repeat(3)]),
)
const { services, volumes } = composeFile(secrets)
const named = (prefix: string): string[] => Object.keys(services).filter((name) => name.startsWith(prefix))
const GATEWAYS = named('gateway-')
const SHARDS = named('shard-')
const DEFAULTS = loadConfig(join(TOP, 'shards.config.json'), {})

/** What a process of the service would read with the configuration that is in the image. */
const configOf = (service: string): Config =>
  loadConfig(join(TOP, 'shards.config.json'), { ...services[service]?.environment, NODE_ENV: 'production' })

/** The source of a file that the compiler writes. */
const sourceOf = (path: string): string => path.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts')

describe('the image', () => {
  const stages = dockerStages()
  const last = stages.at(-1) ?? []
  const all = stages.flat()
  const only = (verb: string): string => {
    const found = last.filter((instruction) => instruction.verb === verb)
    expect(found, verb).toHaveLength(1)
    return found[0]?.text ?? ''
  }

  it('is made in stages; the last one installs nothing', () => {
    expect(stages.length).toBeGreaterThan(1)
    expect(last.map(({ verb }) => verb)).not.toContain('RUN')
  })

  it('brings a Node that package.json takes', () => {
    const { engines } = JSON.parse(read('package.json'))
    const majors = all
      .filter(({ verb }) => verb === 'FROM')
      .map(({ text }) => /^node:(\d+)-slim\b/.exec(text)?.[1])
    expect(engines.node).toContain('>=26')
    for (const major of majors) expect(Number(major)).toBeGreaterThanOrEqual(26)
  })

  it('runs Node itself as process 1, not as root, in production', () => {
    const [program, file, ...more] = JSON.parse(only('ENTRYPOINT'))
    expect([program, more]).toEqual(['node', []])
    expect(exists(sourceOf(file)), sourceOf(file)).toBe(true)
    expect(JSON.parse(only('CMD'))).toEqual([verbs.find((command) => command.name() === 'serve')?.name()])
    expect(only('USER')).not.toMatch(/^(root|0)\b/)
    expect(only('STOPSIGNAL')).toBe('SIGTERM')
    expect(only('ENV')).toContain('NODE_ENV=production')
  })

  it('listens on every address of its container, on the ports that it exposes', () => {
    expect(only('ENV')).toMatch(/\bHOST=0\.0\.0\.0 ADMIN_HOST=0\.0\.0\.0$/)
    expect(only('EXPOSE')).toBe(`${DEFAULTS.port} ${DEFAULTS.adminPort}`)
    expect(only('HEALTHCHECK')).toContain(`process.env.ADMIN_PORT || ${DEFAULTS.adminPort}}/livez`)
  })

  it('names only variables that the configuration reads', () => {
    const names = [...only('ENV').matchAll(/([A-Z_]+)=/g)].map(([, name]) => name)
    expect(VARIABLES.map(({ name }) => name)).toEqual(expect.arrayContaining(names))
  })

  it('runs scripts that package.json has, and installs what the lock file says', () => {
    const { scripts } = JSON.parse(read('package.json'))
    const runs = all.filter(({ verb }) => verb === 'RUN').map(({ text }) => text)
    for (const [, script = ''] of runs.join('\n').matchAll(/npm run (\S+)/g))
      expect(scripts).toHaveProperty(script)
    const installs = stages.filter((stage) => stage.some(({ text }) => text.startsWith('npm install ')))
    expect(installs).toHaveLength(2)
    for (const stage of installs)
      expect(stage.map(({ text }) => text)).toContain('package.json package-lock.json ./')
  })

  it('copies files that are there and that .dockerignore lets through', () => {
    const [everything, ...rules] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(everything).toBe('*')
    const allowed = rules.filter((rule) => rule.startsWith('!')).map((rule) => rule.slice(1))
    const sources = all
      .filter(({ verb, text }) => verb === 'COPY' && !text.startsWith('--from'))
      .flatMap(({ text }) => text.split(' ').slice(0, -1))
      .map((path) => path.replace(/^\.\//, ''))
    expect(sources.filter((path) => !exists(path))).toEqual([])
    expect([...new Set(sources)].sort()).toEqual([...allowed].sort())
  })

  it('holds what its configuration refers to', () => {
    const copied = last.filter(({ verb }) => verb === 'COPY').map(({ text }) => text)
    for (const path of DEFAULTS.extensions) {
      const folder = path.replace(/^\.\//, '').replace(/\/[^/]+$/, '')
      expect(
        copied.some((text) => text.startsWith(`${folder} `)),
        path,
      ).toBe(true)
    }
  })
})

describe('the compose file', () => {
  it('has three gateways and a shard for each key of the configuration', () => {
    expect(GATEWAYS).toHaveLength(3)
    expect(SHARDS).toEqual(Object.keys(DEFAULTS.shards))
  })

  it('holds no secret: each one comes from the environment, and the example file names it without a value', () => {
    const wanted = [...variablesOf(read('docker-compose.yml'))].filter(([, hasDefault]) => !hasDefault)
    expect([...exampleEnvironment().keys()].sort()).toEqual(wanted.map(([name]) => name).sort())
    expect([...exampleEnvironment().values()].join('')).toBe('')
    for (const [name] of wanted) expect(read('docker-compose.yml')).toContain(`\${${name}:?`)
    expect(read('.dockerignore')).toContain('**/.env')
  })

  it('stops before anything starts while a secret is not set', () => {
    for (const name of Object.keys(secrets))
      expect(() => composeFile({ ...secrets, [name]: '' })).toThrow(name)
  })

  it('gives variables that somebody reads, and all that the configuration needs', () => {
    const inFile = fileVariables().map(([name = '']) => name.replaceAll('`', ''))
    const known = [...inFile, ...VARIABLES.map(({ name }) => name)]
    const operators = inFile.filter((name) => /_(OWNER|MOVER)_URL$/.test(name))
    for (const name of GATEWAYS) {
      const given = Object.keys(services[name]?.environment ?? {})
      expect(given.filter((variable) => !known.includes(variable))).toEqual([])
      expect(given.sort()).toEqual(
        [...inFile.filter((variable) => !operators.includes(variable)), 'REDIS_URL'].sort(),
      )
    }
    const setup = Object.keys(services.setup?.environment ?? {})
    const options = ['SHARDGATE_ADMIN_PASSWORD', 'SHARDGATE_ADMIN_USER']
    expect(setup.sort()).toEqual([...inFile, ...options].sort())
  })

  it.each([...GATEWAYS, 'setup'])('gives %s a configuration with nothing left to "start"', (service) => {
    const { shards, directory, tokens } = configOf(service)
    const urls = Object.values(shards).flatMap(({ url, ownerUrl, moverUrl }) =>
      service === 'setup' ? [url, ownerUrl, moverUrl] : [url],
    )
    expect([...urls, directory.url, ...tokens.flatMap((issuer) => issuer.secrets)]).not.toContain(EMBEDDED)
  })

  it('leads each URL to a service that is there, as the role that is meant', () => {
    const { shards, directory } = configOf('setup')
    for (const [key, { url, ownerUrl }] of Object.entries(shards)) {
      const database = `/${services[key]?.environment?.POSTGRES_DB}`
      expect(new URL(url)).toMatchObject({
        hostname: key,
        username: 'shardgate_app',
        port: '5432',
        pathname: database,
      })
      expect(new URL(ownerUrl ?? '')).toMatchObject({
        hostname: key,
        username: 'shardgate_owner',
        pathname: database,
      })
    }
    const { hostname, username, pathname } = new URL(directory.url)
    expect(services).toHaveProperty(hostname)
    expect(services[hostname]?.volumes?.join()).toContain('directory.sh:/docker-entrypoint-initdb.d/')
    const script = read('examples/compose/directory.sh')
    expect(script).toContain(`create role ${username} login`)
    expect(script).toContain(`create database ${pathname.slice(1)} owner ${username}`)
  })

  it('gives the gateways no password but those of the app role and the directory', () => {
    for (const name of GATEWAYS) {
      const given = JSON.stringify(services[name]?.environment)
      expect(given).not.toContain(secrets.OWNER_PASSWORD)
      expect(given).not.toContain(secrets.MOVER_PASSWORD)
      expect(given).not.toContain(secrets.POSTGRES_PASSWORD)
    }
  })

  it('leads all gateways to one Redis, which keeps nothing on a disk and makes room when it is full', () => {
    const urls = GATEWAYS.map((name) => configOf(name).redis.url ?? '')
    expect(new Set(urls).size).toBe(1)
    const { hostname, port } = new URL(urls[0] ?? '')
    const { command = [], ports, volumes } = services[hostname] ?? {}
    expect([port, ports, volumes]).toEqual(['6379', undefined, undefined])
    expect(command.join(' ')).toMatch(
      /--save {2}--appendonly no --maxmemory \d+mb --maxmemory-policy allkeys-lru/,
    )
  })

  it('sets up with a command that there is', () => {
    const [verb, option, folder = ''] = services.setup?.command ?? []
    const found = verbs.find((command) => command.name() === verb)
    expect(found?.options.map(({ long }) => long)).toContain(option)
    expect(exists(folder)).toBe(true)
    const variables = found?.options.map(({ envVar }) => envVar)
    expect(variables).toEqual(expect.arrayContaining(['SHARDGATE_ADMIN_USER', 'SHARDGATE_ADMIN_PASSWORD']))
  })

  it('starts in order: shards, set-up, gateways, proxy', () => {
    const conditions = (name: string) =>
      Object.entries(services[name]?.depends_on ?? {}).map(
        ([other, { condition }]) => `${other} ${condition}`,
      )
    expect(conditions('setup')).toEqual(SHARDS.map((name) => `${name} service_healthy`))
    for (const name of GATEWAYS) expect(conditions(name)).toEqual(['setup service_completed_successfully'])
    expect(conditions('proxy')).toEqual(GATEWAYS.map((name) => `${name} service_healthy`))
    for (const name of [...SHARDS, ...GATEWAYS]) expect(services[name]?.healthcheck?.test, name).toBeDefined()
  })

  it('keeps the rows: a volume of its own for each shard, where Postgres 18 wants it', () => {
    const mounts = SHARDS.map((name) =>
      services[name]?.volumes?.find((volume) => volume.startsWith('shard-')),
    )
    expect(mounts).toEqual(SHARDS.map((name) => `${name}:/var/lib/postgresql`))
    expect(Object.keys(volumes)).toEqual(SHARDS)
    for (const name of SHARDS) {
      expect(Number(/^postgres:(\d+)/.exec(services[name]?.image ?? '')?.[1])).toBeGreaterThanOrEqual(18)
    }
  })

  it('runs shards that can be moved from, and asks for their health where a half-made server does not answer', () => {
    for (const name of SHARDS) {
      expect(services[name]?.command).toContain('wal_level=logical')
      expect(services[name]?.healthcheck?.test?.join(' ')).toContain('pg_isready -h 127.0.0.1')
    }
  })

  it('opens one port, of the proxy, which leads to the public port of each gateway', () => {
    const open = Object.entries(services).filter(([, service]) => service.ports !== undefined)
    expect(open.map(([name, { profiles }]) => [name, profiles])).toEqual([
      ['proxy', undefined],
      ['grafana', ['observability']],
    ])
    for (const [, { ports = [] }] of open) expect(ports.join()).toMatch(/^127\.0\.0\.1:/)
    const caddy = read('examples/compose/Caddyfile')
    const [, , inside = ''] = (services.proxy?.ports?.[0] ?? '').split(':')
    expect(caddy).toContain(`\n:${inside} {`)
    expect(caddy).toContain(`reverse_proxy ${GATEWAYS.map((name) => `${name}:${DEFAULTS.port}`).join(' ')} {`)
    expect(caddy).toContain(`health_port ${DEFAULTS.adminPort}`)
    expect(caddy).toContain('health_uri /readyz')
    for (const name of GATEWAYS) {
      expect(services[name]?.healthcheck?.test?.join(' ')).toContain(`:${DEFAULTS.adminPort}/readyz`)
    }
  })

  it('mounts files that are there', () => {
    const bound = Object.values(services)
      .flatMap((service) => service.volumes ?? [])
      .filter((volume) => volume.startsWith('.'))
      .map((volume) => volume.split(':')[0] ?? '')
    expect(bound.filter((path) => !exists(path))).toEqual([])
    expect(bound).toHaveLength(5)
  })

  it('lets Prometheus read each gateway with a token of an operator, and Grafana read Prometheus', () => {
    const folder = 'examples/observability'
    const { rule_files, scrape_configs } = parse(read(`${folder}/prometheus.yml`))
    const [{ job_name, authorization, static_configs }] = scrape_configs
    expect(static_configs[0].targets).toEqual(GATEWAYS.map((name) => `${name}:${DEFAULTS.adminPort}`))
    const mount = services.prometheus?.volumes?.join() ?? ''
    expect(mount).toBe(`./${folder}:/etc/prometheus:ro`)
    for (const file of rule_files) expect(exists(file.replace('/etc/prometheus', folder)), file).toBe(true)
    const token = authorization.credentials_file.replace('/etc/prometheus', folder)
    expect(read('.gitignore').split('\n')).toContain(token)
    expect(read(`${folder}/alerts.yml`)).toContain(`job="${job_name}"`)
    const grafana = `${folder}/grafana/provisioning`
    const [source] = parse(read(`${grafana}/datasources/prometheus.yml`)).datasources
    expect(new URL(source.url)).toMatchObject({ hostname: 'prometheus', port: '9090' })
    const [provider] = parse(read(`${grafana}/dashboards/shardgate.yml`)).providers
    expect(services.grafana?.volumes?.join()).toContain(`dashboards:${provider.options.path}:ro`)
    const dashboard = read(`${folder}/grafana/dashboards/shardgate.json`)
    const sources = [...dashboard.matchAll(/"type": "prometheus",\s+"uid": "([^"]*)"/g)].map(([, uid]) => uid)
    expect([...new Set(sources)]).toEqual([source.uid])
    expect(services.prometheus?.profiles).toEqual(services.grafana?.profiles)
  })

  it('gives a stopping gateway the time that it takes', () => {
    const { drainMs, stopMs } = DEFAULTS.http
    for (const name of GATEWAYS) {
      const seconds = Number(/^(\d+)s$/.exec(services[name]?.stop_grace_period ?? '')?.[1])
      expect(seconds * 1000).toBeGreaterThan(drainMs + stopMs)
    }
  })

  it('runs the gateways as nobody in particular, on files that they cannot change', () => {
    for (const name of GATEWAYS) expect(services[name]).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
    expect(Object.values(services).filter((service) => /^(root|0)\b/.test(service.user ?? ''))).toEqual([])
  })
})
