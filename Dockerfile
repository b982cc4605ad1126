# The proxy as a container. Built by install.sh and by .ci/run; by hand:
#   docker build -t claude-db-proxy .
#   podman build --format docker -t claude-db-proxy .     (an OCI image has no HEALTHCHECK)
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
LABEL claude-db-proxy.stage=build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
# The program is one bundle; of the packages it needs those that have native code (esbuild.config.mjs, external), for the C
# library of this image only.
RUN npm run build \
 && mkdir packages \
 && (cd node_modules && cp -R --parents libsql @libsql @neon-rs/load detect-libc ../packages) \
 && if ls /lib/ld-musl-* >/dev/null 2>&1; then rm -rf packages/@libsql/*-gnu; else rm -rf packages/@libsql/*-musl; fi \
 && find dist packages -type f \( -name '*.map' -o -name '*.d.ts' \) -delete

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="claude-db-proxy" \
      org.opencontainers.image.description="Double buffering for Claude Code: compaction summaries are computed in the background." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/package.json /build/LICENSE /app/
COPY --from=build /build/packages /app/node_modules
COPY --from=build /build/dist /app/dist
RUN ln -s /app/dist/cli/main.js /usr/local/bin/claude-db-proxy \
 && install -d -o 1000 -g 1000 -m 700 /data
# Whoever runs it sees to it that these ports are published on 127.0.0.1 only, or uses the host's network and
# DBPROXY_HOST=127.0.0.1; compose.yaml and the launcher do.
ENV NODE_ENV=production \
    DBPROXY_DATA_DIR=/data \
    DBPROXY_HOST=0.0.0.0
USER 1000:1000
EXPOSE 8080 8443
# SIGTERM drains for 8 seconds at most, within the 10 that both engines allow.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["node", "/app/dist/cli/health.js"]
# No shell and no init: node is process 1, takes the signals itself and has no children to bury.
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["serve", "--no-record"]
