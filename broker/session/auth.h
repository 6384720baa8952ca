// SPDX-License-Identifier: MIT
/* auth.h - password checks, beside the loop.
 *
 * A yescrypt hash takes milliseconds by design, so one worker thread computes
 * it; a cache of recent successes (keyed hash of user and password, a key of
 * this process) answers most log-ins at once.  Results wait in a list and
 * auth_fd() turns readable.
 *
 * A flood of wrong passwords must not keep others out: checks wait in one lane
 * per user (unknown users share one), lanes take turns, a lane is bounded, and a
 * failure is answered late.  Thread: calls from the loop thread. */
#ifndef SESSION_AUTH_H
#define SESSION_AUTH_H

#include "base/bytes.h"
#include "base/err.h"

struct auth;
struct session;

enum err auth_new(struct auth **out) MUST_USE;
void auth_free(struct auth **a);
int auth_fd(const struct auth *a);

/* Asks; the session's auth_done is called from auth_run, or at once (true is
 * returned and *accepted set) when the cache knows.  `hash` is the stored one,
 * empty for an unknown user: that takes as long and fails. */
bool auth_check(struct auth *a, struct session *s, struct bytes user, struct bytes password,
                struct bytes hash, bool *accepted);
/* The session goes: its answer is dropped. */
void auth_forget(struct auth *a, const struct session *s);
/* Delivers what has been computed. */
void auth_run(struct auth *a);

/* Makes a hash for storing; slow.  `cheap`: for the well-known guest password.
 * Returns a heap string (mem_free). */
char *auth_hash(struct bytes password, bool cheap);

/* Is it a hash in the form of crypt(3), of a method that is known here? */
bool auth_hash_known(struct bytes hash);

/* Checks without the worker; slow. */
bool auth_matches(struct bytes password, struct bytes hash);

#endif
