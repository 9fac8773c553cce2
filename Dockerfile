# One image for every role: `docker run afterimage reader|writer|watcher|migrate|… --config /etc/afterimage/afterimage.yaml`.
FROM node:22-bookworm-slim AS build
WORKDIR /app
ENV TURBO_TELEMETRY_DISABLED=1 DO_NOT_TRACK=1
COPY package.json package-lock.json ./
COPY apps/cli/package.json apps/cli/
COPY apps/reader/package.json apps/reader/
COPY apps/watcher/package.json apps/watcher/
COPY apps/writer/package.json apps/writer/
COPY bench/package.json bench/
COPY packages/binlog-feed/package.json packages/binlog-feed/
COPY packages/cdc-protocol/package.json packages/cdc-protocol/
COPY packages/change-events/package.json packages/change-events/
COPY packages/doctor/package.json packages/doctor/
COPY packages/local-servers/package.json packages/local-servers/
COPY packages/mariadb/package.json packages/mariadb/
COPY packages/queue/package.json packages/queue/
COPY packages/replica/package.json packages/replica/
COPY packages/service/package.json packages/service/
COPY packages/snapshot/package.json packages/snapshot/
COPY packages/verification/package.json packages/verification/
RUN npm ci --no-audit --no-fund
COPY tsconfig.base.json tsconfig.json turbo.json ./
COPY apps apps
COPY packages packages
RUN npx tsc -b apps/cli apps/reader apps/writer apps/watcher
# Optional packages are the embedded PostgreSQL (the demo's, not production's) and native speed-ups.
RUN npm prune --omit=dev --omit=optional --no-audit --no-fund \
  && find apps packages \( -name src -o -name test -o -name '*.map' -o -name .tsbuildinfo \) -prune -exec rm -rf {} +

FROM node:22-bookworm-slim
LABEL org.opencontainers.image.title="afterimage" org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production AFTERIMAGE_CONFIG=/etc/afterimage/afterimage.yaml
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/apps apps
COPY --from=build /app/packages packages
COPY migrations migrations
COPY deploy/healthcheck.mjs /usr/local/lib/afterimage/healthcheck.mjs
RUN printf '#!/bin/sh\nexec node /app/apps/cli/dist/main.js "$@"\n' > /usr/local/bin/afterimage \
  && chmod 0755 /usr/local/bin/afterimage
USER node
# AFTERIMAGE_HEALTH_PORT is service.readerPort, writerPort or watcherPort of the configuration; unset = nothing to ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "/usr/local/lib/afterimage/healthcheck.mjs"]
ENTRYPOINT ["afterimage"]
CMD ["--help"]
