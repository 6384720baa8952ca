# SPDX-License-Identifier: MIT
# docker build -t lodge . && docker run -p 61613:61613 -v lodge:/var/lib/lodge lodge
# The daemon binds to loopback unless told otherwise; in a container that is the container's own
# network, so it is told here.  `guest` works from loopback only: make users before you publish the
# port (docs/operations.md).
FROM debian:12-slim AS build
WORKDIR /src
COPY tests/lib/deps.sh tests/lib/deps.sh
RUN tests/lib/deps.sh build
COPY . .
RUN make -j"$(nproc)" && make install DESTDIR=/out PREFIX=/usr

FROM debian:12-slim
RUN apt-get -qq update \
    && apt-get -qq install --no-install-recommends \
        libevent-2.1-7 libsqlite3-0 libcjson1 libcrypt1 libmd0 libpcre2-8-0 libsystemd0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/lodge --shell /usr/sbin/nologin lodge \
    && install -d -o lodge -g lodge -m 700 /var/lib/lodge
COPY --from=build /out/usr/bin/lodge /usr/bin/lodge
COPY --from=build /out/usr/sbin/lodged /usr/sbin/lodged
USER lodge
VOLUME /var/lib/lodge
EXPOSE 61613 5672 1883
ENTRYPOINT ["/usr/sbin/lodged", "--data", "/var/lib/lodge", "--stomp", "0.0.0.0:61613", "--amqp", "0.0.0.0:5672", "--mqtt", "0.0.0.0:1883"]
