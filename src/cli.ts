#!/usr/bin/env node
/**
 * The operator's process, `shardgate`. It imports the rest only after it has looked at Node's version: an
 * older one would fail on the first file with a message about syntax.
 */

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const suits = major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18)

// Whoever reads a part of the output (`… | head`) has closed the pipe: that is no fault of the command, which goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

if (suits) {
  const { runCommand } = await import('./commands/program.ts')
  // The gateway's parts take longer to load than everything else, and two commands want them.
  process.exitCode = await runCommand(process.argv.slice(2), async (options) => {
    const { runGateway } = await import('./main.ts')
    return runGateway(options)
  })
} else {
  process.stderr.write(
    `shardgate wants Node 22.18, 24.11, or 26 and later; this is ${process.versions.node}.\n`,
  )
  process.exitCode = 2
}
