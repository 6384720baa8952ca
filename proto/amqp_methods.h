// SPDX-License-Identifier: MIT
/* amqp_methods.h - every method of AMQP 0-9-1 and of RabbitMQ's extensions, once.
 *
 * AMQP_METHODS(X): X(name, class, method, "as it is written"); each has its arguments, in wire order,
 * in AMQP_ARGS_name(F): F(type, field).  Structures, decoder, encoder, names and
 * tests are made from these two.  Types: octet short long longlong bit shortstr
 * longstr table.  Source: AMQP 0-9-1 section 1.4 ff.; RabbitMQ's
 * amqp-rabbitmq-0.9.1.json for exchange.bind, basic.nack, confirm.select,
 * connection.blocked and update-secret.  Leading underscores: reserved fields. */
#ifndef PROTO_AMQP_METHODS_H
#define PROTO_AMQP_METHODS_H

#define AMQP_METHODS(X)                                                   \
    X(connection_start, 10, 10, "connection.start")                       \
    X(connection_start_ok, 10, 11, "connection.start-ok")                 \
    X(connection_secure, 10, 20, "connection.secure")                     \
    X(connection_secure_ok, 10, 21, "connection.secure-ok")               \
    X(connection_tune, 10, 30, "connection.tune")                         \
    X(connection_tune_ok, 10, 31, "connection.tune-ok")                   \
    X(connection_open, 10, 40, "connection.open")                         \
    X(connection_open_ok, 10, 41, "connection.open-ok")                   \
    X(connection_close, 10, 50, "connection.close")                       \
    X(connection_close_ok, 10, 51, "connection.close-ok")                 \
    X(connection_blocked, 10, 60, "connection.blocked")                   \
    X(connection_unblocked, 10, 61, "connection.unblocked")               \
    X(connection_update_secret, 10, 70, "connection.update-secret")       \
    X(connection_update_secret_ok, 10, 71, "connection.update-secret-ok") \
    X(channel_open, 20, 10, "channel.open")                               \
    X(channel_open_ok, 20, 11, "channel.open-ok")                         \
    X(channel_flow, 20, 20, "channel.flow")                               \
    X(channel_flow_ok, 20, 21, "channel.flow-ok")                         \
    X(channel_close, 20, 40, "channel.close")                             \
    X(channel_close_ok, 20, 41, "channel.close-ok")                       \
    X(access_request, 30, 10, "access.request")                           \
    X(access_request_ok, 30, 11, "access.request-ok")                     \
    X(exchange_declare, 40, 10, "exchange.declare")                       \
    X(exchange_declare_ok, 40, 11, "exchange.declare-ok")                 \
    X(exchange_delete, 40, 20, "exchange.delete")                         \
    X(exchange_delete_ok, 40, 21, "exchange.delete-ok")                   \
    X(exchange_bind, 40, 30, "exchange.bind")                             \
    X(exchange_bind_ok, 40, 31, "exchange.bind-ok")                       \
    X(exchange_unbind, 40, 40, "exchange.unbind")                         \
    X(exchange_unbind_ok, 40, 51, "exchange.unbind-ok")                   \
    X(queue_declare, 50, 10, "queue.declare")                             \
    X(queue_declare_ok, 50, 11, "queue.declare-ok")                       \
    X(queue_bind, 50, 20, "queue.bind")                                   \
    X(queue_bind_ok, 50, 21, "queue.bind-ok")                             \
    X(queue_purge, 50, 30, "queue.purge")                                 \
    X(queue_purge_ok, 50, 31, "queue.purge-ok")                           \
    X(queue_delete, 50, 40, "queue.delete")                               \
    X(queue_delete_ok, 50, 41, "queue.delete-ok")                         \
    X(queue_unbind, 50, 50, "queue.unbind")                               \
    X(queue_unbind_ok, 50, 51, "queue.unbind-ok")                         \
    X(basic_qos, 60, 10, "basic.qos")                                     \
    X(basic_qos_ok, 60, 11, "basic.qos-ok")                               \
    X(basic_consume, 60, 20, "basic.consume")                             \
    X(basic_consume_ok, 60, 21, "basic.consume-ok")                       \
    X(basic_cancel, 60, 30, "basic.cancel")                               \
    X(basic_cancel_ok, 60, 31, "basic.cancel-ok")                         \
    X(basic_publish, 60, 40, "basic.publish")                             \
    X(basic_return, 60, 50, "basic.return")                               \
    X(basic_deliver, 60, 60, "basic.deliver")                             \
    X(basic_get, 60, 70, "basic.get")                                     \
    X(basic_get_ok, 60, 71, "basic.get-ok")                               \
    X(basic_get_empty, 60, 72, "basic.get-empty")                         \
    X(basic_ack, 60, 80, "basic.ack")                                     \
    X(basic_reject, 60, 90, "basic.reject")                               \
    X(basic_recover_async, 60, 100, "basic.recover-async")                \
    X(basic_recover, 60, 110, "basic.recover")                            \
    X(basic_recover_ok, 60, 111, "basic.recover-ok")                      \
    X(basic_nack, 60, 120, "basic.nack")                                  \
    X(confirm_select, 85, 10, "confirm.select")                           \
    X(confirm_select_ok, 85, 11, "confirm.select-ok")                     \
    X(tx_select, 90, 10, "tx.select")                                     \
    X(tx_select_ok, 90, 11, "tx.select-ok")                               \
    X(tx_commit, 90, 20, "tx.commit")                                     \
    X(tx_commit_ok, 90, 21, "tx.commit-ok")                               \
    X(tx_rollback, 90, 30, "tx.rollback")                                 \
    X(tx_rollback_ok, 90, 31, "tx.rollback-ok")

#define AMQP_ARGS_connection_start(F) \
    F(octet, version_major)           \
    F(octet, version_minor) F(table, server_properties) F(longstr, mechanisms) F(longstr, locales)
#define AMQP_ARGS_connection_start_ok(F) \
    F(table, client_properties) F(shortstr, mechanism) F(longstr, response) F(shortstr, locale)
#define AMQP_ARGS_connection_secure(F) F(longstr, challenge)
#define AMQP_ARGS_connection_secure_ok(F) F(longstr, response)
#define AMQP_ARGS_connection_tune(F) F(short, channel_max) F(long, frame_max) F(short, heartbeat)
#define AMQP_ARGS_connection_tune_ok(F) F(short, channel_max) F(long, frame_max) F(short, heartbeat)
#define AMQP_ARGS_connection_open(F) F(shortstr, virtual_host) F(shortstr, _1) F(bit, _2)
#define AMQP_ARGS_connection_open_ok(F) F(shortstr, _1)
#define AMQP_ARGS_connection_close(F) \
    F(short, reply_code) F(shortstr, reply_text) F(short, class_id) F(short, method_id)
#define AMQP_ARGS_connection_close_ok(F)
#define AMQP_ARGS_connection_blocked(F) F(shortstr, reason)
#define AMQP_ARGS_connection_unblocked(F)
#define AMQP_ARGS_connection_update_secret(F) F(longstr, new_secret) F(shortstr, reason)
#define AMQP_ARGS_connection_update_secret_ok(F)

#define AMQP_ARGS_channel_open(F) F(shortstr, _1)
#define AMQP_ARGS_channel_open_ok(F) F(longstr, _1)
#define AMQP_ARGS_channel_flow(F) F(bit, active)
#define AMQP_ARGS_channel_flow_ok(F) F(bit, active)
#define AMQP_ARGS_channel_close(F) \
    F(short, reply_code) F(shortstr, reply_text) F(short, class_id) F(short, method_id)
#define AMQP_ARGS_channel_close_ok(F)

#define AMQP_ARGS_access_request(F) \
    F(shortstr, realm) F(bit, exclusive) F(bit, passive) F(bit, active) F(bit, write) F(bit, read)
#define AMQP_ARGS_access_request_ok(F) F(short, ticket)

#define AMQP_ARGS_exchange_declare(F) \
    F(short, _1)                      \
    F(shortstr, exchange)             \
    F(shortstr, type)                 \
    F(bit, passive)                   \
    F(bit, durable) F(bit, auto_delete) F(bit, internal) F(bit, nowait) F(table, arguments)
#define AMQP_ARGS_exchange_declare_ok(F)
#define AMQP_ARGS_exchange_delete(F) \
    F(short, _1) F(shortstr, exchange) F(bit, if_unused) F(bit, nowait)
#define AMQP_ARGS_exchange_delete_ok(F)
#define AMQP_ARGS_exchange_bind(F) \
    F(short, _1)                   \
    F(shortstr, destination)       \
    F(shortstr, source) F(shortstr, routing_key) F(bit, nowait) F(table, arguments)
#define AMQP_ARGS_exchange_bind_ok(F)
#define AMQP_ARGS_exchange_unbind(F) AMQP_ARGS_exchange_bind(F)
#define AMQP_ARGS_exchange_unbind_ok(F)

#define AMQP_ARGS_queue_declare(F) \
    F(short, _1)                   \
    F(shortstr, queue)             \
    F(bit, passive)                \
    F(bit, durable) F(bit, exclusive) F(bit, auto_delete) F(bit, nowait) F(table, arguments)
#define AMQP_ARGS_queue_declare_ok(F) \
    F(shortstr, queue) F(long, message_count) F(long, consumer_count)
#define AMQP_ARGS_queue_bind(F) \
    F(short, _1)                \
    F(shortstr, queue)          \
    F(shortstr, exchange) F(shortstr, routing_key) F(bit, nowait) F(table, arguments)
#define AMQP_ARGS_queue_bind_ok(F)
#define AMQP_ARGS_queue_purge(F) F(short, _1) F(shortstr, queue) F(bit, nowait)
#define AMQP_ARGS_queue_purge_ok(F) F(long, message_count)
#define AMQP_ARGS_queue_delete(F) \
    F(short, _1) F(shortstr, queue) F(bit, if_unused) F(bit, if_empty) F(bit, nowait)
#define AMQP_ARGS_queue_delete_ok(F) F(long, message_count)
#define AMQP_ARGS_queue_unbind(F) \
    F(short, _1)                  \
    F(shortstr, queue) F(shortstr, exchange) F(shortstr, routing_key) F(table, arguments)
#define AMQP_ARGS_queue_unbind_ok(F)

#define AMQP_ARGS_basic_qos(F) F(long, prefetch_size) F(short, prefetch_count) F(bit, global)
#define AMQP_ARGS_basic_qos_ok(F)
#define AMQP_ARGS_basic_consume(F) \
    F(short, _1)                   \
    F(shortstr, queue)             \
    F(shortstr, consumer_tag)      \
    F(bit, no_local) F(bit, no_ack) F(bit, exclusive) F(bit, nowait) F(table, arguments)
#define AMQP_ARGS_basic_consume_ok(F) F(shortstr, consumer_tag)
#define AMQP_ARGS_basic_cancel(F) F(shortstr, consumer_tag) F(bit, nowait)
#define AMQP_ARGS_basic_cancel_ok(F) F(shortstr, consumer_tag)
#define AMQP_ARGS_basic_publish(F) \
    F(short, _1) F(shortstr, exchange) F(shortstr, routing_key) F(bit, mandatory) F(bit, immediate)
#define AMQP_ARGS_basic_return(F) \
    F(short, reply_code) F(shortstr, reply_text) F(shortstr, exchange) F(shortstr, routing_key)
#define AMQP_ARGS_basic_deliver(F) \
    F(shortstr, consumer_tag)      \
    F(longlong, delivery_tag) F(bit, redelivered) F(shortstr, exchange) F(shortstr, routing_key)
#define AMQP_ARGS_basic_get(F) F(short, _1) F(shortstr, queue) F(bit, no_ack)
#define AMQP_ARGS_basic_get_ok(F) \
    F(longlong, delivery_tag)     \
    F(bit, redelivered) F(shortstr, exchange) F(shortstr, routing_key) F(long, message_count)
#define AMQP_ARGS_basic_get_empty(F) F(shortstr, _1)
#define AMQP_ARGS_basic_ack(F) F(longlong, delivery_tag) F(bit, multiple)
#define AMQP_ARGS_basic_reject(F) F(longlong, delivery_tag) F(bit, requeue)
#define AMQP_ARGS_basic_recover_async(F) F(bit, requeue)
#define AMQP_ARGS_basic_recover(F) F(bit, requeue)
#define AMQP_ARGS_basic_recover_ok(F)
#define AMQP_ARGS_basic_nack(F) F(longlong, delivery_tag) F(bit, multiple) F(bit, requeue)

#define AMQP_ARGS_confirm_select(F) F(bit, nowait)
#define AMQP_ARGS_confirm_select_ok(F)
#define AMQP_ARGS_tx_select(F)
#define AMQP_ARGS_tx_select_ok(F)
#define AMQP_ARGS_tx_commit(F)
#define AMQP_ARGS_tx_commit_ok(F)
#define AMQP_ARGS_tx_rollback(F)
#define AMQP_ARGS_tx_rollback_ok(F)

#endif
