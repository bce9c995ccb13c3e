# The gateway as an image. GraphiQL and the embedded Postgres are for development and not in it.
#
#   docker build -t shardgate .
#   docker run --env-file my.env -p 4000:4000 shardgate
#   docker run --env-file my.env shardgate config check

FROM node:26-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# Not "npm ci": the lock file lists the programs of the platform that it was written on, and "npm ci" refuses it
# because those of the others are missing. All versions are the lock file's either way.
RUN npm install --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build

FROM node:26-slim AS modules
WORKDIR /modules
COPY package.json package-lock.json ./
RUN npm install --no-audit --no-fund --omit=dev --omit=optional --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production HOST=0.0.0.0 ADMIN_HOST=0.0.0.0
WORKDIR /shardgate
COPY --from=modules /modules/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json shards.config.json ./
COPY examples/helpdesk ./examples/helpdesk
# Nothing in here belongs to the account that runs it: a way to write files is no way to change the program.
USER node
EXPOSE 4000 4001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ADMIN_PORT || 4001}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself is process 1, and gets the signal; npm would keep it.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve"]
