# Two stages: the compiler stays behind. The result holds one binary and the CA certificates, and runs as nobody.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p safeconduct

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 -m 0700 /var/lib/safeconduct
COPY --from=build /src/target/release/safeconduct /usr/local/bin/safeconduct
USER 65534:65534
WORKDIR /etc/safeconduct
EXPOSE 8080 9090
ENTRYPOINT ["safeconduct"]
CMD ["serve", "--config", "/etc/safeconduct/safeconduct.yaml"]
