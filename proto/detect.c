// SPDX-License-Identifier: MIT
#include "proto/detect.h"

static const struct {
    const char *begins;
    enum protocol protocol;
} starts[] = {
    { "AMQP", PROTOCOL_AMQP },       { "\x10", PROTOCOL_MQTT },
    { "CONNECT\n", PROTOCOL_STOMP }, { "CONNECT\r\n", PROTOCOL_STOMP },
    { "STOMP\n", PROTOCOL_STOMP },   { "STOMP\r\n", PROTOCOL_STOMP },
    { "GET ", PROTOCOL_HTTP },
};

static struct bytes without_ends_of_line(struct bytes in)
{
    size_t at = 0;

    while (at < in.n && (in.p[at] == '\n' || in.p[at] == '\r'))
        at++;
    return bytes_from(in, at);
}

enum protocol protocol_detect(struct bytes in)
{
    struct bytes rest = without_ends_of_line(in);
    enum protocol best = rest.n == 0 ? PROTOCOL_UNKNOWN : PROTOCOL_NONE;

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct bytes want = bytes_str(starts[i].begins);

        if (starts[i].protocol != PROTOCOL_STOMP && rest.n < in.n)
            continue;
        if (bytes_starts(rest, want))
            return starts[i].protocol;
        if (bytes_starts(want, rest))
            best = PROTOCOL_UNKNOWN;
    }
    return best;
}
