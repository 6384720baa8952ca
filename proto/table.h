// SPDX-License-Identifier: MIT
/* table.h - AMQP field tables, the neutral form of headers and arguments.
 *
 * Bytes are those of the wire without the leading u32 length: name (shortstr),
 * type octet, value.  Types are RabbitMQ's: t b B s u I i l L f d D S A T F V x
 * (field.md 5.4-3: `s` is int16, `l` int64, `x` bytes).  Integers in network order.
 * Nesting is limited to TABLE_DEPTH_MAX, so walking needs no unbounded stack. */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include "base/buf.h"
#include "base/reader.h"

enum { TABLE_DEPTH_MAX = 16 };

struct table_value {
    char type;        /* one of the letters above; 0 = absent */
    struct bytes raw; /* the value as on the wire: of S, x, A, F without the length */
};

struct table_iter {
    struct reader r;
};

struct table_iter table_iter(struct bytes table);

/* False at the end and at the first malformed field (then iter->r.failed). */
bool table_next(struct table_iter *it, struct bytes *name, struct table_value *value);

/* The same for the elements of an array value ('A'). */
bool table_next_element(struct table_iter *it, struct table_value *value);

/* Every field well-formed, to the depth limit?  Check once what a peer sent. */
bool table_valid(struct bytes table);

bool table_find(struct bytes table, struct bytes name, struct table_value *out);

/* Any integer type that fits; booleans and timestamps are not integers. */
bool table_int(const struct table_value *v, int64_t *out);
/* 't'. */
bool table_bool(const struct table_value *v, bool *out);
/* 'S' or 'x'; false for anything else. */
bool table_str(const struct table_value *v, struct bytes *out);
/* The value as protocols of text say it, in `room` or of the table; false: it has no text
 * (tables, arrays, nothing).  What was S or x may be any bytes. */
bool table_text(const struct table_value *v, struct buf *room, struct bytes *out);

/* Equal by meaning: numbers by value whatever their width, strings by bytes,
 * tables and arrays field by field in their order. */
bool table_value_eq(const struct table_value *a, const struct table_value *b);

void table_put_str(struct buf *out, struct bytes name, struct bytes value); /* S */
void table_put_int(struct buf *out, struct bytes name, int64_t value);      /* l */
void table_put_bool(struct buf *out, struct bytes name, bool value);        /* t */
void table_put_time(struct buf *out, struct bytes name, uint64_t seconds);  /* T */
void table_put_value(struct buf *out, struct bytes name, const struct table_value *v);

/* Tables and arrays inside: begin returns a mark for end, which fills in the length. */
size_t table_begin(struct buf *out, struct bytes name, char type_A_or_F);
void table_end(struct buf *out, size_t mark);
/* Elements of an array: a value without a name. */
void table_put_element(struct buf *out, const struct table_value *v);
size_t table_begin_element(struct buf *out, char type_A_or_F);

#endif
