// SPDX-License-Identifier: MIT
/* CONNECT, and the heart-beats that it agrees on. */
#include "broker/session/stomp_session.h"

#include <inttypes.h>

#include "base/mem.h"
#include "broker/session/auth.h"
#include "broker/session/permit.h"

#define SUPPORTED "1.0,1.1,1.2"

static const struct bytes guest = { (const uint8_t *)"guest", 5 };

/* Clients put the name of the machine there, as the specification advises, or
 * that of a virtual host, as RabbitMQ wants it.  What is no virtual host and
 * looks like a machine is the default one; any other unknown name is refused. */
static bool names_machine(struct bytes host)
{
    return host.n == 0 || bytes_eq(host, BYTES("localhost")) || memchr(host.p, '.', host.n) ||
           memchr(host.p, ':', host.n);
}

static bool find_vhost(struct stomp_session *s, const struct stomp_frame *f)
{
    struct bytes host = stomp_header_find(f, BYTES("host"));

    if (host.n)
        s->vhost_id = core_vhost_find(s->s.env->core, host);
    if (!s->vhost_id && names_machine(host))
        s->vhost_id = core_vhost_find(s->s.env->core, BYTES("/"));
    return s->vhost_id != 0;
}

/* ---- heart-beats ---- */

/* The longer of what one side can do and what the other wants; 0: none. */
static uint32_t agree(uint32_t theirs, uint32_t ours)
{
    if (theirs == 0)
        return 0;
    return theirs > ours ? theirs : ours;
}

/* A little early: the interval is the longest silence, not the shortest. */
static uint64_t next_beat(const struct stomp_session *s)
{
    return s->send_ms ? s->last_out_ms + s->send_ms - s->send_ms / 8 : UINT64_MAX;
}

/* Twice the interval, for the margin of error that the specification asks for. */
static uint64_t silent_at(const struct stomp_session *s)
{
    return s->want_ms ? s->last_in_ms + 2 * (uint64_t)s->want_ms : UINT64_MAX;
}

void stomp_wake(struct stomp_session *s)
{
    uint64_t beat = next_beat(s), silent = silent_at(s);

    session_wake_at(&s->s, beat < silent ? beat : silent);
}

void stomp_heart_beat_tick(struct stomp_session *s)
{
    uint64_t now = s->s.env->now_mono_ms;

    /* Who is not read from, by our choice, cannot be heard. */
    if (s->s.unread || s->s.paused)
        s->last_in_ms = now;
    if (silent_at(s) <= now) {
        stomp_fail(s, NULL, "Heart-beat missed",
                   "Nothing came for twice the %" PRIu32 " ms agreed on", s->want_ms);
        return;
    }
    if (next_beat(s) <= now) {
        s->last_out_ms = now;
        if (s->s.out.n == 0 && !stomp_within_body(s)) /* else it is heard as it is */
            buf_u8(&s->s.out, '\n');
    }
    stomp_wake(s);
}

/* ---- logging in ---- */

static void put_connected(struct stomp_session *s)
{
    struct session_env *env = s->s.env;
    struct buf *out = &s->s.out;

    env->count.frames_out++;
    buf_fmt(out,
            "CONNECTED\nversion:%s\nheart-beat:%" PRIu32 ",%" PRIu32 "\nserver:Lodge/" LODGE_VERSION
            "\nsession:%" PRIu64 "-%" PRIu64 "\n\n",
            stomp_version_name(stomp_version(s)), s->send_ms, s->want_ms, core_boot(env->core),
            s->s.id);
    stomp_put_end(out);
}

static void welcome(struct stomp_session *s)
{
    struct session_env *env = s->s.env;

    s->state = STOMP_READY;
    s->client = core_client_open(env->core, s->vhost_id, &s->s.port);
    core_client_user(env->core, s->client, bytes_str(s->user));
    put_connected(s);
    stomp_room(s);
    s->last_in_ms = s->last_out_ms = env->now_mono_ms;
    stomp_wake(s);
    log_debug("stomp.login", "id=%" PRIu64 " user=%s version=%s", s->s.id,
              log_text(bytes_str(s->user)).s, stomp_version_name(stomp_version(s)));
}

void stomp_auth_done(struct stomp_session *s, bool accepted)
{
    if (s->state != STOMP_LOGIN)
        return;
    s->s.paused = false;
    if (!accepted)
        stomp_fail(s, NULL, "Bad CONNECT", "Access refused for user '%s'",
                   log_text(bytes_str(s->user)).s);
    else if (!s->vhost_id)
        stomp_fail(s, NULL, "Bad CONNECT", "The virtual host named by 'host' does not exist");
    else if (!permit_vhost(s->s.env, bytes_str(s->user), s->vhost_id))
        stomp_fail(s, NULL, "Bad CONNECT", "%s", s->s.env->denied);
    else
        welcome(s);
}

/* Without a login it is guest with its first password, over loopback. */
static void log_in(struct stomp_session *s, const struct stomp_frame *f)
{
    struct session_env *env = s->s.env;
    struct bytes login = stomp_header_find(f, BYTES("login"));
    struct bytes passcode = stomp_header_find(f, BYTES("passcode"));
    struct core_user user = { 0 };
    bool accepted = true;

    if (!login.p) {
        login = guest;
        passcode = passcode.p ? passcode : guest;
    }
    s->user = bytes_dup_str(login);
    if (bytes_eq(login, guest) && !s->s.loopback) {
        stomp_fail(s, f, "Bad CONNECT", "User 'guest' may connect over loopback only");
        return;
    }
    if (env->auth) {
        (void)core_user_find(env->core, login, &user);
        s->s.paused = true;
        if (!auth_check(env->auth, &s->s, login, passcode, user.password_hash, &accepted))
            return;
    }
    stomp_auth_done(s, accepted);
}

void stomp_on_connect(struct stomp_session *s, const struct stomp_frame *f)
{
    struct bytes accept = stomp_header_find(f, BYTES("accept-version"));
    struct bytes beat = stomp_header_find(f, BYTES("heart-beat"));
    enum stomp_version version;
    uint32_t can, wants;

    if (!stomp_negotiate(accept, &version)) {
        stomp_fail_with(s, f, BYTES("version"), BYTES(SUPPORTED), "Version mismatch",
                        "Supported versions are " SUPPORTED);
        return;
    }
    if (!stomp_heart_beat(beat, &can, &wants)) {
        stomp_fail(s, f, "Bad CONNECT", "heart-beat is two numbers of milliseconds: CAN,WANT");
        return;
    }
    s->send_ms = agree(wants, s->s.env->heart_beat_ms);
    s->want_ms = agree(can, s->s.env->heart_beat_ms);
    s->decoder.version = version;
    s->state = STOMP_LOGIN;
    (void)find_vhost(s, f);
    log_in(s, f);
}
