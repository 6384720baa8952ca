#!/bin/bash
# SPDX-License-Identifier: MIT
# Refuses an include that goes up a layer, and system headers outside the one place they belong to.
#   check-layers.sh [TREE]         check (default: this tree)
#   check-layers.sh --self-test    break each rule once in a scratch tree and see it refused
set -euo pipefail
export LC_ALL=C

# What a file may include from the tree: "PATHS-OF-FILES  HEADERS", regular expressions, first match.
own_rules='
^base/            ^base/
^proto/           ^(base|proto)/
^storage/         ^(base|storage)/
^broker/core/     ^(base|broker/core)/|^proto/(topic|table|props)\.h$|^storage/(op|batch|record|engine|store)\.h$
^broker/session/  ^(base|proto|broker/core|broker/session)/|^storage/(op|batch|record)\.h$
^broker/net/      ^(base|broker/net)/|^broker/session/session\.h$|^proto/websocket\.h$
^broker/[^/]+$    ^(base|proto|storage|config|broker)/
^config/          ^(base|config)/
^client/          ^(base|proto|client)/|^lodge\.h$
^tests/           .
'
# Who alone may include a system header: "HEADERS  PATHS-OF-FILES".  Tests may include what they like.
system_rules='
^event2/          ^(broker/net/|broker/[^/]+$|client/)
^sqlite3\.h$      ^storage/
^pthread\.h$      ^storage/|^broker/(session/)?auth
^threads\.h$      ^$
^cjson/           ^(config|client/cmd)/
^pcre2\.h$        ^broker/core/pattern\.c$
^crypt\.h$        ^broker/(session/)?auth
^sha1\.h$         ^broker/session/ws_session
^systemd/         ^broker/[^/]+$
^openssl/         ^broker/net/
^sys/socket\.h$   ^(broker/net/|broker/[^/]+$|client/|config/)
'
# Things of the tree that some folders must do without: "PATHS-OF-FILES  WHAT  WHY", in source lines.
# Time is an argument of codecs, sessions and core (auth has a worker and a timer of its own); the
# core hands the store nothing, it is asked.
word_rules='
^proto/|^broker/core/|^broker/session/(session|stomp|amqp|mqtt)  #[[:space:]]*include[[:space:]]*[<"](base/clock|time|sys/time)\.h  time-is-an-argument
^proto/|^broker/core/|^broker/session/(session|stomp|amqp|mqtt)  (^|[^_[:alnum:]])(clock_gettime|gettimeofday|time|rand|random)\(  time-and-chance-are-arguments
^broker/core/                         (^|[^_[:alnum:]])(store|engine)_(open|close|start|submit|load|load_part|take_done|idle|fd)\(  the-core-never-calls-storage
^(base|proto|storage|broker|config)/  (^|[^_[:alnum:]])(strcpy|strcat|sprintf|gets|strtok|alloca)\(      unbounded
'

check() {
    local tree=$1
    cd "$tree"
    # shellcheck disable=SC2016
    find . -path './build' -prune -o -name '*.[ch]' -printf '%P\n' | sort |
        own=$own_rules system=$system_rules words=$word_rules xargs -r awk '
        function load(text, table, width,    line, n, i, f, k) {
            n = split(text, line, "\n")
            for (i = 1; i <= n; i++)
                if (split(line[i], f, /[ \t][ \t]+/) >= width) {
                    table[++table[0], 1] = f[1]
                    for (k = 2; k <= width; k++) table[table[0], k] = f[k]
                }
        }
        function refuse(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0; bad++ }
        function own_include(header,    i) {
            for (i = 1; i <= o[0]; i++)
                if (FILENAME ~ o[i, 1]) {
                    if (header !~ o[i, 2]) refuse("goes up a layer")
                    return
                }
            refuse("folder without a rule")
        }
        function system_include(header,    i) {
            if (FILENAME ~ /^tests\//) return
            for (i = 1; i <= s[0]; i++)
                if (header ~ s[i, 1] && FILENAME !~ s[i, 2]) refuse("does not belong here")
        }
        BEGIN { 
            load(ENVIRON["own"], o, 2)
            load(ENVIRON["system"], s, 2)
            load(ENVIRON["words"], w, 3)
         }
        /^[ \t]*#[ \t]*include/ {
            header = $0
            quoted = header ~ /"/
            gsub(/^[^<"]*[<"]|[>"].*$/, "", header)
            if (!quoted && header !~ /^(base|proto|storage|broker|config|client)\//)
                system_include(header)
            else if (header !~ /\// && FILENAME !~ /^tests\/|^client\//)
                refuse("includes are written from the root of the tree")
            else
                own_include(header)
        }
        /^[ \t]*(\/\*|\*|\/\/)/ { next }
        {
            for (i = 1; i <= w[0]; i++)
                if (FILENAME ~ w[i, 1] && $0 ~ w[i, 2]) refuse(w[i, 3])
        }
        END { exit bad > 0 }'
}

# One line a case: the file, the line that must be refused in it, after | a line that must pass.
cases='
base/a.c                  #include "proto/topic.h"              | #include "base/buf.h"
proto/a.c                 #include "storage/op.h"               | #include "base/buf.h"
proto/a.h                 #include "broker/core/core.h"         | #include "proto/table.h"
storage/a.c               #include "broker/core/core.h"         | #include "storage/op.h"
storage/b.c               #include <proto/table.h>              | #include <sqlite3.h>
broker/core/a.c           #include "proto/stomp.h"              | #include "proto/topic.h"
broker/core/b.c           #include "broker/session/session.h"   | #include "storage/op.h"
broker/core/c.c           #include "storage/engine_sqlite.h"    | #include "storage/record.h"
broker/core/d.c           #include "base/clock.h"               | #include "base/map.h"
broker/core/e.c           store_submit(c->store, c->commit);    | core_submit(c);
broker/core/f.c           uint64_t now = time(NULL);            | uint64_t t = core_time(c);
broker/core/g.c           #include <pcre2.h>                    | #include "broker/core/pattern.h"
broker/session/a.c        #include "broker/net/conn.h"          | #include "broker/core/core.h"
broker/session/b.c        #include "storage/store.h"            | #include "proto/stomp.h"
broker/session/c.c        #include <event2/event.h>             | #include <string.h>
broker/session/d.c        #include <pthread.h>                  | #include <stdio.h>
broker/session/stomp_a.c  #include "base/clock.h"               | #include "base/heap.h"
broker/session/e.c        #include <sys/socket.h>               | #include <stdio.h>
broker/net/a.c            #include "broker/core/core.h"         | #include "broker/session/session.h"
broker/net/b.c            #include <sqlite3.h>                  | #include <event2/event.h>
broker/net/c.c            #include <crypt.h>                    | #include <openssl/ssl.h>
broker/a.c                #include "client/lodge.h"             | #include "broker/net/conn.h"
broker/b.c                #include <cjson/cJSON.h>              | #include <systemd/sd-daemon.h>
config/a.c                #include "broker/core/core.h"         | #include <cjson/cJSON.h>
config/b.c                #include <systemd/sd-daemon.h>        | #include "config/config.h"
client/a.c                #include "broker/core/core.h"         | #include <event2/event.h>
client/b.c                #include <sqlite3.h>                  | #include <lodge.h>
client/d.c                #include <cjson/cJSON.h>              | #include "proto/stomp.h"
client/c.c                #include <openssl/ssl.h>              | #include "proto/stomp.h"
storage/c.c               #include <event2/event.h>             | #include <pthread.h>
storage/d.c               #include "op.h"                       | #include "storage/op.h"
storage/e.c               #include <threads.h>                  | #include <unistd.h>
storage/f.c               strcpy(to, from);                     | memcpy(to, from, n);
'

self_test() {
    local scratch file rest refused passes failed=0
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$scratch'" EXIT
    while read -r file rest; do
        [ -n "$file" ] || continue
        refused=${rest%%|*} passes=${rest#*|}
        mkdir -p "$scratch/$(dirname "$file")"
        printf '%s\n' "$refused" >"$scratch/$file"
        if (check "$scratch") >/dev/null; then
            echo "not refused: $file: $refused"
            failed=1
        fi
        printf '%s\n' "$passes" >"$scratch/$file"
        if ! (check "$scratch"); then
            echo "refused: $file: $passes"
            failed=1
        fi
        rm "$scratch/$file"
    done <<<"$cases"
    return $failed
}

if [ "${1-}" = --self-test ]; then
    self_test
else
    (check "${1-$(dirname "$0")/..}")
fi
