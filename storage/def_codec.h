// SPDX-License-Identifier: MIT
/* def_codec.h - definitions as bytes, for the engine in memory.
 *
 * Decoded definitions are views of those bytes. */
#ifndef STORAGE_DEF_CODEC_H
#define STORAGE_DEF_CODEC_H

#include "base/buf.h"
#include "storage/op.h"

void def_put_vhost(struct buf *b, const struct def_vhost *v);
void def_put_exchange(struct buf *b, const struct def_exchange *x);
void def_put_queue(struct buf *b, const struct def_queue *q);
void def_put_binding(struct buf *b, const struct def_binding *d);
void def_put_user(struct buf *b, const struct def_user *u);
void def_put_permission(struct buf *b, const struct def_permission *p);
void def_put_topic_permission(struct buf *b, const struct def_topic_permission *p);
void def_put_retained(struct buf *b, const struct def_retained *r);

struct def_vhost def_get_vhost(struct bytes b);
struct def_exchange def_get_exchange(struct bytes b);
struct def_queue def_get_queue(struct bytes b);
struct def_binding def_get_binding(struct bytes b);
struct def_user def_get_user(struct bytes b);
struct def_permission def_get_permission(struct bytes b);
struct def_topic_permission def_get_topic_permission(struct bytes b);
struct def_retained def_get_retained(struct bytes b);

#endif
