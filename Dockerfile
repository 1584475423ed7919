# One build, three images:
#   docker build --target forge    FORGE
#   docker build --target live     an agent as a sidecar
#   docker build --target example  the example service, with an agent inside
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin forge --bin live --bin example-service

# What the images share: certificates, an unprivileged user, and a place for data that it owns.
FROM debian:bookworm-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/anvil --create-home anvil \
    # A volume takes over the owner of the directory that it is first mounted on.
    && install -d -o anvil -g anvil /etc/anvil/nats /run/anvil /var/lib/connection
COPY LICENSE /usr/share/doc/anvil/LICENSE
USER anvil
WORKDIR /var/lib/anvil

FROM base AS forge
COPY --from=build /src/target/release/forge /usr/local/bin/forge
COPY scripts/stack /usr/local/lib/anvil
COPY examples/service/prompts /usr/local/share/anvil/prompts
EXPOSE 7450
ENTRYPOINT ["forge"]
CMD ["serve"]

FROM base AS live
COPY --from=build /src/target/release/live /usr/local/bin/live
ENTRYPOINT ["live"]
CMD ["run"]

FROM base AS example
COPY --from=build /src/target/release/example-service /usr/local/bin/example-service
EXPOSE 8090
ENTRYPOINT ["example-service"]
