#!/bin/bash
# SPDX-License-Identifier: MIT
# The one list of Debian packages Lodge needs.  Installs those of the named sets that are missing.
#   tests/lib/deps.sh build|test ...      install
#   tests/lib/deps.sh --list build|test   print
# PACKAGE:COMMAND is there when the command is, wherever it came from.
set -euo pipefail

build=(gcc:gcc make:make pkg-config:pkg-config libc6-dev libevent-dev libsqlite3-dev libcjson-dev libcrypt-dev
    libmd-dev libpcre2-dev libxxhash-dev procps:pgrep)
test=(check clang:clang clang-format:clang-format libclang-rt-14-dev shellcheck:shellcheck
    codespell:codespell git:git python3 python3-stomp python3-pika python3-kombu
    python3-celery python3-amqp amqp-tools:amqp-publish python3-paho-mqtt
    mosquitto-clients:mosquitto_pub libpaho-mqtt-dev sqlite3:sqlite3 nodejs:node npm:npm
    chromium:chromium man-db:man)

packages() {
    case $1 in
    build) printf '%s\n' "${build[@]}" ;;
    test) printf '%s\n' "${test[@]}" ;;
    *) echo "deps.sh: no set named $1" >&2 && return 1 ;;
    esac
}

is_missing() {
    case $1 in
    *:*) ! command -v "${1#*:}" >/dev/null ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" != installed ] ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "deps.sh: run as root, or install sudo, to install: ${missing[*]}" >&2
        return 1
    fi
}

if [ "${1-}" = --list ]; then
    packages "$2"
    exit
fi

missing=()
for set in "$@"; do
    packages "$set" >/dev/null
    for package in $(packages "$set"); do
        if is_missing "$package"; then
            missing+=("${package%:*}")
        fi
    done
done
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "deps.sh: needed, by Debian's names: ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    as_root apt-get -qq update
    as_root apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
fi
