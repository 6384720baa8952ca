// SPDX-License-Identifier: MIT
/* BEGIN, COMMIT and ABORT: several named transactions per connection. */
#include "broker/session/stomp_session.h"

#include "base/mem.h"

enum { NAME_MAX_BYTES = 255 };

static struct stomp_transaction **place_of(struct stomp_session *s, struct bytes name)
{
    struct stomp_transaction **at = &s->transactions;

    while (*at && !bytes_eq(bytes_of((*at)->name, (*at)->name_n), name))
        at = &(*at)->next;
    return at;
}

static void remove_at(struct stomp_transaction **at)
{
    struct stomp_transaction *gone = *at;

    *at = gone->next;
    core_tx_abort(&gone->tx);
    mem_free(gone);
}

void stomp_transactions_free(struct stomp_session *s)
{
    while (s->transactions)
        remove_at(&s->transactions);
}

static size_t transactions_count(const struct stomp_session *s)
{
    size_t n = 0;

    for (const struct stomp_transaction *t = s->transactions; t; t = t->next)
        n++;
    return n;
}

struct stomp_transaction *stomp_transaction_of(struct stomp_session *s, const struct stomp_frame *f,
                                               struct bytes name)
{
    struct stomp_transaction *t = *place_of(s, name);

    if (!t)
        stomp_fail(s, f, "Bad transaction", "%s: no transaction '%s' was begun",
                   stomp_command_name(f->command), log_text(name).s);
    return t;
}

/* False: failed, for there is none. */
static bool name_of(struct stomp_session *s, const struct stomp_frame *f, struct bytes *name)
{
    *name = stomp_header_find(f, BYTES("transaction"));
    if (name->n)
        return true;
    stomp_fail(s, f, "Missing transaction", "%s must include a 'transaction' header",
               stomp_command_name(f->command));
    return false;
}

static void receipt(struct stomp_session *s, const struct stomp_frame *f)
{
    stomp_receipt(s, f, stomp_header_find(f, BYTES("receipt")));
}

void stomp_on_begin(struct stomp_session *s, const struct stomp_frame *f)
{
    struct stomp_transaction *t;
    struct bytes name;

    if (!name_of(s, f, &name))
        return;
    if (name.n > NAME_MAX_BYTES || transactions_count(s) == STOMP_TRANSACTIONS_MAX) {
        stomp_fail(s, f, "Limit reached",
                   "A connection has at most %d open transactions, of names up to %d bytes",
                   STOMP_TRANSACTIONS_MAX, NAME_MAX_BYTES);
        return;
    }
    if (*place_of(s, name)) {
        stomp_fail(s, f, "Bad transaction", "Transaction '%s' was begun already", log_text(name).s);
        return;
    }
    t = mem_alloc(sizeof *t + name.n);
    t->settles = 0;
    t->tx = core_tx_begin(s->s.env->core, s->client);
    t->name_n = name.n;
    memcpy(t->name, name.p, name.n);
    t->next = s->transactions;
    s->transactions = t;
    receipt(s, f);
}

void stomp_on_commit(struct stomp_session *s, const struct stomp_frame *f)
{
    struct session_env *env = s->s.env;
    struct stomp_transaction **at;
    const char *why = NULL;
    enum publish_result r;
    struct bytes name;

    if (!name_of(s, f, &name) || !stomp_transaction_of(s, f, name))
        return;
    at = place_of(s, name);
    r = core_tx_commit(env->core, &(*at)->tx, &why, env->now_ms);
    remove_at(at);
    if (r != PUBLISH_ROUTED && r != PUBLISH_UNROUTED) {
        stomp_fail(s, f, "Transaction refused", "COMMIT '%s': %s; nothing of it was done",
                   log_text(name).s,
                   why                        ? why
                   : r == PUBLISH_NO_EXCHANGE ? "there is no such exchange"
                                              : "refused");
        return;
    }
    receipt(s, f);
}

void stomp_on_abort(struct stomp_session *s, const struct stomp_frame *f)
{
    struct bytes name;

    if (!name_of(s, f, &name) || !stomp_transaction_of(s, f, name))
        return;
    remove_at(place_of(s, name));
    receipt(s, f);
}
