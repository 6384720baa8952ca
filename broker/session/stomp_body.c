// SPDX-License-Identifier: MIT
/* Long bodies, in both directions: neither a SEND nor a MESSAGE is ever held
 * whole when the core can take or give it in parts. */
#include "broker/session/stomp_session.h"

#include <inttypes.h>

#include "base/mem.h"

/* ---- in ---- */

void stomp_gathering_free(struct stomp_session *s)
{
    if (!s->gathering)
        return;
    buf_fini(&s->gathering->head);
    buf_fini(&s->gathering->body);
    mem_free(s->gathering);
    s->gathering = NULL;
}

static struct bytes kept(struct buf *head, struct bytes b)
{
    const uint8_t *p = head->p + head->n;

    buf_bytes(head, b);
    return bytes_of(p, b.n);
}

/* Copies the head, whose views end with this call. */
static struct stomp_gathering *gathering_new(const struct stomp_frame *f)
{
    struct stomp_gathering *g = mem_zalloc(sizeof *g + f->header_count * sizeof *g->header);
    size_t bytes = 1;

    for (unsigned i = 0; i < f->header_count; i++)
        bytes += f->header[i].name.n + f->header[i].value.n;
    (void)buf_reserve(&g->head, bytes);
    for (unsigned i = 0; i < f->header_count; i++) {
        g->header[i].name = kept(&g->head, f->header[i].name);
        g->header[i].value = kept(&g->head, f->header[i].value);
    }
    g->frame = *f;
    g->frame.header = g->header;
    return g;
}

/* 0: failed. */
static uint64_t blob_begin(struct stomp_session *s, const struct stomp_frame *f, uint64_t size)
{
    const char *why = NULL;
    uint64_t id = core_blob_begin(s->s.env->core, s->client, size, &why);

    if (id == 0)
        stomp_fail(s, f, "Message refused", "SEND: %s; nothing was stored", why ? why : "refused");
    return id;
}

void stomp_gathering_begin(struct stomp_session *s, const struct stomp_frame *f)
{
    uint64_t blob_id = 0;

    s->s.publisher = true;
    if (!stomp_may_send(s, f))
        return;
    if (f->content_length > BLOB_MIN_BYTES) {
        blob_id = blob_begin(s, f, f->content_length);
        if (blob_id == 0)
            return;
    }
    s->gathering = gathering_new(f);
    s->gathering->blob_id = blob_id;
}

void stomp_gathering_add(struct stomp_session *s, struct bytes piece)
{
    struct stomp_gathering *g = s->gathering;

    if (g->blob_id)
        core_blob_append(s->s.env->core, g->blob_id, piece);
    else
        buf_bytes(&g->body, piece);
}

bool stomp_body(struct stomp_session *s, const struct stomp_frame *f, struct message *m)
{
    uint64_t blob_id = s->gathering ? s->gathering->blob_id : 0;

    m->body_size = f->body.n;
    if (!blob_id && f->body.n > BLOB_MIN_BYTES) { /* one without a content-length */
        blob_id = blob_begin(s, f, f->body.n);
        if (blob_id == 0)
            return false;
        core_blob_append(s->s.env->core, blob_id, f->body);
    }
    if (!blob_id) {
        m->body = f->body;
        return true;
    }
    m->blob_id = blob_id;
    if (s->gathering)
        m->body_size = f->content_length;
    return true;
}

/* ---- out ---- */

static void want_next(struct stomp_session *s)
{
    struct stomp_sending *o = s->sending;

    o->stalled = session_room(&s->s) == 0;
    if (!o->stalled)
        core_blob_want(s->s.env->core, s->client, o->blob_id, o->next);
}

void stomp_sending_begin(struct stomp_session *s, const struct message *m, struct buf *out,
                         size_t from)
{
    s->sending = mem_new(struct stomp_sending);
    buf_bytes(&s->sending->head, bytes_from(buf_view(out), from));
    out->n = from;
    s->sending->blob_id = m->blob_id;
    s->sending->left = m->body_size;
    core_client_room(s->s.env->core, s->client, 0); /* messages before it had set it again */
    want_next(s);
}

void stomp_sending_free(struct stomp_session *s)
{
    if (!s->sending)
        return;
    buf_fini(&s->sending->head);
    buf_fini(&s->sending->later);
    mem_free(s->sending);
    s->sending = NULL;
}

static void sending_end(struct stomp_session *s)
{
    stomp_put_end(&s->s.out);
    buf_bytes(&s->s.out, buf_view(&s->sending->later));
    core_blob_done(s->s.env->core, s->client, s->sending->blob_id);
    stomp_sending_free(s);
    stomp_room(s);
    stomp_end_if_done(s);
}

void stomp_part(struct stomp_session *s, const struct effect *e)
{
    struct stomp_sending *o = s->sending;

    if (!o || e->blob_id != o->blob_id || e->part != o->next)
        return;
    if (e->refused || e->data.n == 0 || e->data.n > o->left) {
        /* A head may have left already: only the end of the stream can tell. */
        log_error("stomp.body", "id=%" PRIu64 " why=\"a part of a message cannot be read\"",
                  s->s.id);
        stomp_end(s);
        return;
    }
    if (o->next == 0)
        buf_bytes(&s->s.out, buf_view(&o->head));
    buf_bytes(&s->s.out, e->data);
    s->last_out_ms = s->s.env->now_mono_ms;
    o->left -= e->data.n;
    o->next++;
    if (o->left > 0)
        want_next(s);
    else
        sending_end(s);
}

void stomp_sending_cancel(struct stomp_session *s, uint64_t subscription)
{
    if (!s->sending || stomp_within_body(s) || s->sending->subscription != subscription)
        return;
    core_blob_done(s->s.env->core, s->client, s->sending->blob_id);
    stomp_sending_free(s);
    stomp_room(s);
}

void stomp_sending_drained(struct stomp_session *s)
{
    if (s->sending->stalled)
        want_next(s);
}
