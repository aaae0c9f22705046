# syntax=docker/dockerfile:1
# One image for every process: `docker run IMAGE run gateway`, `docker run IMAGE migrate` ...
FROM rust:1.95-slim-bookworm AS build
ARG TARGETPLATFORM
WORKDIR /src
COPY . .
# The target folder outlives this build, and cargo judges by times: touched sources are always built anew,
# the crates below them only when they changed.
RUN --mount=type=cache,id=eventus-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=eventus-target-${TARGETPLATFORM},target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --locked --release --package eventus --bin eventus \
    && install -m 0755 target/release/eventus /usr/local/bin/eventus

# glibc and the certificates of the usual authorities; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=unversioned
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eventus" \
      org.opencontainers.image.description="A headless data platform that speaks Directus's HTTP language and loses nothing." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /usr/local/bin/eventus /usr/local/bin/eventus
USER 65532:65532
# HTTP, gRPC, admin (metrics and health)
EXPOSE 8055 9090 9464
ENTRYPOINT ["eventus"]
CMD ["--help"]
