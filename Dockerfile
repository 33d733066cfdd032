# Two stages: the first has the compiler, the second only what runs.
FROM node:20-bookworm-slim AS build
WORKDIR /app
# Dependencies first: they change less often than the code.
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json vite.config.ts vite.program.config.ts ./
COPY src ./src
COPY bin ./bin
COPY bench ./bench
COPY test/swarm/harness ./test/swarm/harness
COPY test/slow/tools ./test/slow/tools
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:20-bookworm-slim
ENV NODE_ENV=production \
    MEGATORRENT_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist/bin ./dist/bin
COPY --from=build /app/dist/src ./dist/src
COPY --from=build /app/dist/web ./dist/web
COPY LICENSE PROTOCOL_FINAL.md README.md ./
RUN ln -s /app/dist/bin/megatorrent.js /usr/local/bin/megatorrent \
 && chmod +x /app/dist/bin/megatorrent.js \
 && install -d -m 0700 -o node -g node /data \
 # Where composed set-ups hand a link from one container to another.
 && install -d -o node -g node /link
USER node
VOLUME /data
# Peers by TCP, DHT by UDP. The RPC stays within the container: use "docker exec".
EXPOSE 7117/tcp 7117/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
  CMD ["megatorrent", "health", "--quiet"]
ENTRYPOINT ["megatorrent"]
CMD ["serve"]
