// SPDX-License-Identifier: MIT
/* fuzz_amqp_method.c - the input is the payload of a method frame.
 *
 * What was decoded is encoded to as many bytes, which are decoded to the same and
 * encoded to themselves; only bits without a meaning may be lost.  Cut short, or with
 * a byte more, it is refused.  A fault has the code that its kind has. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/amqp.h"
#include "proto/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define OF_octet(in, v) true
#define OF_short(in, v) true
#define OF_long(in, v) true
#define OF_longlong(in, v) true
#define OF_bit(in, v) true
#define OF_shortstr(in, v) ((v).n <= 255 && inside(in, v))
#define OF_longstr(in, v) inside(in, v)
#define OF_table(in, v) (inside(in, v) && table_valid(v))

static bool inside(struct bytes in, struct bytes v)
{
    return v.n == 0 || (v.p >= in.p && v.n <= in.n && v.p + v.n <= in.p + in.n);
}

/* Views are of the input; texts and tables are what they may be. */
static void check_arguments(struct bytes in, const struct amqp_args *args)
{
    switch ((enum amqp_method)args->id) {
#define F(type, field) &&OF_##type(in, m->field)
#define X(name, class_id, method_id, text)         \
    case AMQP_##name: {                            \
        const struct amqp_##name *m = &args->name; \
                                                   \
        CHECK(m AMQP_ARGS_##name(F));              \
        return;                                    \
    }
        AMQP_METHODS(X)
#undef X
#undef F
    }
    CHECK_UNREACHABLE();
}

static struct bytes payload_of(const struct buf *frame)
{
    struct amqp_frame f;
    const char *why;
    size_t used;

    CHECK(amqp_frame_decode(buf_view(frame), UINT32_MAX, &f, &used, &why) == DECODE_OK);
    CHECK(used == frame->n && f.type == AMQP_FRAME_METHOD && f.channel == 7);
    return f.payload;
}

static void check_same_again(struct bytes in, const struct amqp_args *args)
{
    struct buf first = { 0 }, second = { 0 };
    struct amqp_args again;
    enum amqp_reply code;
    const char *why;

    amqp_put_method(&first, 7, args);
    struct bytes payload = payload_of(&first);
    CHECK(payload.n == in.n);
    CHECK(amqp_method_decode(payload, &again, &code, &why) == DECODE_OK);
    CHECK(again.id == args->id);
    check_arguments(payload, &again);
    amqp_put_method(&second, 7, &again);
    CHECK(bytes_eq(buf_view(&first), buf_view(&second)));
    buf_fini(&first);
    buf_fini(&second);
}

/* On a copy of its exact size, so that reading on is seen. */
static bool check_payload(struct bytes in)
{
    uint8_t *exact = mem_alloc(in.n);
    struct amqp_args args = { 0 };
    enum amqp_reply code = AMQP_INTERNAL_ERROR;
    const char *why = NULL;

    if (in.n > 0)
        memcpy(exact, in.p, in.n);
    in.p = exact;
    bool ok = amqp_method_decode(in, &args, &code, &why) == DECODE_OK;
    bool known = in.n >= 4 && amqp_method_name(args.id);
    if (ok) {
        CHECK(known);
        check_arguments(in, &args);
        check_same_again(in, &args);
    } else {
        CHECK(why);
        CHECK(code == (in.n < 4 ? AMQP_FRAME_ERROR
                       : known  ? AMQP_SYNTAX_ERROR
                                : AMQP_COMMAND_INVALID));
    }
    mem_free(exact);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = bytes_of(data, n);
    struct buf longer = { 0 };

    if (!check_payload(in))
        return 0;
    CHECK(!check_payload(bytes_head(in, (size_t)(bytes_hash(in, 0) % n))));
    buf_bytes(&longer, in);
    buf_u8(&longer, 0);
    CHECK(!check_payload(buf_view(&longer)));
    buf_fini(&longer);
    return 0;
}
