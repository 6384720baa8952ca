// SPDX-License-Identifier: MIT
#include "proto/stomp.h"

static const char *const command_names[STOMP_CMD_COUNT] = {
#define X(name, from, body) #name,
    STOMP_COMMANDS(X)
#undef X
};

static const char *const version_names[] = { "1.0", "1.1", "1.2" };

const char *stomp_command_name(enum stomp_command c)
{
    return c < STOMP_CMD_COUNT ? command_names[c] : "?";
}

const char *stomp_version_name(enum stomp_version v)
{
    return version_names[v];
}

struct bytes stomp_header_find(const struct stomp_frame *f, struct bytes name)
{
    for (unsigned i = 0; i < f->header_count; i++)
        if (bytes_eq(f->header[i].name, name))
            return f->header[i].value;
    return (struct bytes){ NULL, 0 };
}

/* Takes the part before the next comma off the front. */
static struct bytes split_comma(struct bytes *rest)
{
    const uint8_t *comma = rest->n ? memchr(rest->p, ',', rest->n) : NULL;
    struct bytes part = comma ? bytes_head(*rest, (size_t)(comma - rest->p)) : *rest;

    *rest = comma ? bytes_from(*rest, part.n + 1) : (struct bytes){ NULL, 0 };
    return part;
}

bool stomp_negotiate(struct bytes accept_version, enum stomp_version *out)
{
    bool found = false;

    if (!accept_version.p) {
        *out = STOMP_V1_0;
        return true;
    }
    while (accept_version.n > 0) {
        struct bytes part = split_comma(&accept_version);

        for (enum stomp_version v = STOMP_V1_0; v <= STOMP_V1_2; v++) {
            if (!bytes_eq(part, bytes_str(version_names[v])) || (found && v < *out))
                continue;
            *out = v;
            found = true;
        }
    }
    return found;
}

bool stomp_heart_beat(struct bytes value, uint32_t *send_ms, uint32_t *want_ms)
{
    uint64_t send = 0, want = 0;

    if (value.p) {
        struct bytes first = split_comma(&value);

        if (!bytes_to_u64(first, UINT32_MAX, &send) || !bytes_to_u64(value, UINT32_MAX, &want))
            return false;
    }
    *send_ms = (uint32_t)send;
    *want_ms = (uint32_t)want;
    return true;
}
