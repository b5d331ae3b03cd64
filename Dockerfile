# docker build -t dkv .
# docker run -p 127.0.0.1:6379:6379 -v dkv-data:/data dkv -requirepass secret
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Static programs: the image below has nothing to link with.
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/bin/ ./cmd/dkvsrv ./cmd/dkvctl ./cmd/dkvbench \
    && mkdir /out/data

FROM scratch
COPY --from=build /out/bin/ /usr/local/bin/
# A new volume takes its owner from here.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 6379
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/dkvctl", "-a", "127.0.0.1:6379", "-healthcheck"]
# Flags given to `docker run` are added. Protected mode holds in a container
# too: without -requirepass (or -protected-mode no) only loopback is served.
ENTRYPOINT ["/usr/local/bin/dkvsrv", "-listen-addr", "0.0.0.0:6379", "-db-folder", "/data"]
