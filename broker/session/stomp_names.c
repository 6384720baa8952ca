// SPDX-License-Identifier: MIT
#include "broker/session/stomp_names.h"

#define X(name, text) { (const uint8_t *)(text), sizeof(text) - 1 },
static const struct bytes names[STOMP_NAME_COUNT] = { STOMP_NAMES(X) };
#undef X

enum { LONGEST = 25 };

/* names[first_of[n]] is the first with n bytes; names[first_of[n + 1]] is behind the last. */
static const uint8_t first_of[LONGEST + 2] = {
    [0] = STOMP_NAME_id,
    [1] = STOMP_NAME_id,
    [2] = STOMP_NAME_id,
    [3] = STOMP_NAME_ack,
    [4] = STOMP_NAME_type,
    [5] = STOMP_NAME_app_id,
    [6] = STOMP_NAME_app_id,
    [7] = STOMP_NAME_receipt,
    [8] = STOMP_NAME_priority,
    [9] = STOMP_NAME_timestamp,
    [10] = STOMP_NAME_persistent,
    [11] = STOMP_NAME_destination,
    [12] = STOMP_NAME_content_type,
    [13] = STOMP_NAME_x_message_ttl,
    [14] = STOMP_NAME_content_length,
    [15] = STOMP_NAME_amqp_message_id,
    [16] = STOMP_NAME_content_encoding,
    [17] = STOMP_NAME_x_max_length_bytes,
    [18] = STOMP_NAME_x_max_length_bytes,
    [19] = STOMP_NAME_x_dead_letter_exchange,
    [20] = STOMP_NAME_x_dead_letter_exchange,
    [21] = STOMP_NAME_x_dead_letter_exchange,
    [22] = STOMP_NAME_x_dead_letter_exchange,
    [23] = STOMP_NAME_x_single_active_consumer,
    [24] = STOMP_NAME_x_single_active_consumer,
    [25] = STOMP_NAME_x_dead_letter_routing_key,
    [26] = STOMP_NAME_COUNT,
};

enum stomp_name stomp_name_of(struct bytes name)
{
    if (name.n > LONGEST)
        return STOMP_NAME_USER;
    for (unsigned i = first_of[name.n]; i < first_of[name.n + 1]; i++)
        if (memcmp(names[i].p, name.p, name.n) == 0)
            return (enum stomp_name)i;
    return STOMP_NAME_USER;
}

struct bytes stomp_name_text(enum stomp_name name)
{
    return names[name];
}

unsigned stomp_known_collect(const struct stomp_frame *f, uint64_t users, struct stomp_known *k,
                             uint8_t *user)
{
    unsigned count = 0;

    k->seen = 0;
    for (unsigned i = 0; i < f->header_count; i++) {
        enum stomp_name name = stomp_name_of(f->header[i].name);

        if (name == STOMP_NAME_USER || users >> name & 1) {
            user[count++] = (uint8_t)i;
        } else if (!stomp_known_has(k, name)) {
            k->seen |= UINT64_C(1) << name;
            k->value[name] = f->header[i].value;
        }
    }
    return count;
}

bool stomp_known_bool(const struct stomp_known *k, enum stomp_name name, bool otherwise)
{
    struct bytes v = stomp_known_get(k, name);

    if (bytes_eq(v, BYTES("true")) || bytes_eq(v, BYTES("True")))
        return true;
    if (bytes_eq(v, BYTES("false")) || bytes_eq(v, BYTES("False")))
        return false;
    return otherwise;
}
