# The supervisor as an image: not root, a system that is read-only, tini above it.
#   docker build -t mcp-supervisor .
# Behind a slow line, with mirrors of the packages:
#   docker build -t mcp-supervisor --build-arg NPM_REGISTRY=… --build-arg DEBIAN_MIRROR=… .
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
ARG NPM_REGISTRY=https://registry.npmjs.org
WORKDIR /src
COPY . .
# Without scripts: npm would compile better-sqlite3, which has its binaries with it, and there is no
# compiler here. The package brings what it needs, and nothing else of the checkout goes on; whatever
# the umask of the checkout is, all may read it.
RUN npm ci --ignore-scripts --registry="${NPM_REGISTRY}" --no-audit --no-fund \
    && npm pack --pack-destination /tmp \
    && mkdir /app \
    && tar -xzf /tmp/mcp-supervisor-*.tgz -C /app --strip-components=1 \
    && chmod -R a+rX /app deploy/config

FROM ${NODE_IMAGE}
# By http: the base image has no certificates, and apt checks the signatures of what it fetches.
ARG DEBIAN_MIRROR=http://deb.debian.org
# What servers need beside Node, such as "python3".
ARG PACKAGES=""
# bubblewrap and slirp4netns make the sandboxes. /data and /key are volumes, which take on this owner.
RUN sed -i "s|http://deb.debian.org|${DEBIAN_MIRROR}|" /etc/apt/sources.list.d/debian.sources \
    && apt-get update \
    && apt-get install -y --no-install-recommends tini bubblewrap slirp4netns ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -m 0700 -o node -g node /data /key
COPY --from=build /app /app
COPY --from=build /src/deploy/config /etc/mcp-supervisor
RUN ln -s /app/bin/mcp-supervisor.js /usr/local/bin/mcp-supervisor

ENV MCP_SUPERVISOR_CONFIG=/etc/mcp-supervisor/supervisor.config.json
USER node
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["node", "-e", "fetch('http://127.0.0.1:5000/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# tini takes in what children leave behind.
ENTRYPOINT ["/usr/bin/tini", "--", "node", "--max-semi-space-size=2", "/app/bin/mcp-supervisor.js"]
CMD ["serve"]
