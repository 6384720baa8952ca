// SPDX-License-Identifier: MIT
#include "client/cmd/jobs.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/cmd/session.h"

enum {
    HOLD_FIRST_MS = 1000,
    HOLD_MAX_MS = 60000,
    VALUE_MAX = 64 << 10, /* of a variable; the kernel refuses 128 KiB */
    OUTPUT_MAX = 256 << 20
};

struct job {
    struct list link;
    struct jobs *j;
    struct lodge_message *m;
    pid_t pid;
    int output; /* -1: not captured */
    struct event *held_ev;
};

static void job_free(struct job *job)
{
    list_remove(&job->link);
    if (job->held_ev)
        event_free(job->held_ev);
    if (job->output >= 0)
        (void)close(job->output);
    lodge_message_free(job->m);
    mem_free(job);
}

uint64_t jobs_hold_ms(unsigned failures)
{
    uint64_t ms = HOLD_FIRST_MS;

    for (unsigned i = 1; i < failures && ms < HOLD_MAX_MS; i++)
        ms *= 2;
    return ms < HOLD_MAX_MS ? ms : HOLD_MAX_MS;
}

void jobs_variable(const char *header, char out[128])
{
    static const char *const reserved[] = { "LODGE_SERVER", "LODGE_USER", "LODGE_PASSWORD",
                                            "LODGE_VHOST" };
    size_t n = 0;

    if (strlen(header) > 100) {
        out[0] = '\0';
        return;
    }
    n = (size_t)snprintf(out, 128, "LODGE_");
    for (; *header; header++)
        out[n++] = isalnum((unsigned char)*header) ? (char)toupper((unsigned char)*header) : '_';
    out[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        if (strcmp(out, reserved[i]) == 0)
            out[0] = '\0';
}

/* ---- the environment --------------------------------------------------------- */

struct environment {
    char **at;
    size_t count, cap;
};

static void environment_add(struct environment *e, char *text)
{
    e->at = mem_grow(e->at, &e->cap, e->count + 1, sizeof *e->at);
    e->at[e->count++] = text;
}

static bool environment_has(const struct environment *e, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < e->count; i++)
        if (e->at[i] && strncmp(e->at[i], name, n) == 0 && e->at[i][n] == '=')
            return true;
    return false;
}

/* Headers first: a variable that is there already does not come again. */
static struct environment environment_of(const struct lodge_message *m)
{
    struct environment e = { 0 };
    char name[128];

    for (size_t i = 0; i < m->header_count; i++) {
        const char *value = m->headers[i].value;

        jobs_variable(m->headers[i].name, name);
        if (!name[0] || strlen(value) > VALUE_MAX || environment_has(&e, name))
            continue;
        struct buf b = { 0 };

        buf_fmt(&b, "%s=%s", name, value);
        buf_u8(&b, 0);
        environment_add(&e, (char *)b.p);
    }
    for (size_t i = 0; environ[i]; i++) {
        size_t n = strcspn(environ[i], "=");

        (void)snprintf(name, sizeof name, "%.*s", (int)(n < 127 ? n : 127), environ[i]);
        if (!environment_has(&e, name))
            environment_add(&e, mem_strdup(environ[i]));
    }
    environment_add(&e, NULL);
    return e;
}

static void environment_fini(struct environment *e)
{
    for (size_t i = 0; i < e->count; i++)
        mem_free(e->at[i]);
    mem_free(e->at);
}

/* ---- starting ---------------------------------------------------------------- */

/* The body as a file that is at its beginning; -1: errno says why. */
static int body_file(const struct lodge_message *m)
{
    int fd = memfd_create("lodge-body", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < m->body_size) {
        ssize_t n = write(fd, (const char *)m->body + at, m->body_size - at);

        if (n < 0) {
            (void)close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

/* 0, or what went wrong. */
static int spawn(struct job *job, int body)
{
    char shell[] = "/bin/sh", flag[] = "-c", *command = mem_strdup(job->j->command);
    char *argv[] = { shell, flag, command, NULL };
    struct environment environment = environment_of(job->m);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t defaults;
    int rc;

    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(&attr, 0);
    (void)posix_spawnattr_setsigdefault(&attr, &defaults);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_adddup2(&files, body, STDIN_FILENO);
    if (job->output >= 0)
        (void)posix_spawn_file_actions_adddup2(&files, job->output, STDOUT_FILENO);
    rc = posix_spawn(&job->pid, shell, &files, &attr, argv, environment.at);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    environment_fini(&environment);
    mem_free(command);
    return rc;
}

static int start(struct job *job)
{
    int body = body_file(job->m);
    int rc;

    if (job->j->capture)
        job->output = memfd_create("lodge-output", MFD_CLOEXEC);
    if (body < 0 || (job->j->capture && job->output < 0))
        rc = errno;
    else
        rc = spawn(job, body);
    if (body >= 0)
        (void)close(body);
    return rc;
}

/* ---- the end of a job ---------------------------------------------------------- */

static void on_held(evutil_socket_t fd, short what, void *arg)
{
    struct job *job = arg;

    (void)fd;
    (void)what;
    job->j->on_failed(job->j->arg, job->m);
    job_free(job);
}

static unsigned failures_of(const struct job *job)
{
    const char *text = lodge_message_header(job->m, "x-delivery-count");
    uint64_t count;

    if (text && bytes_to_u64(bytes_str(text), 1000, &count))
        return (unsigned)count + 1;
    return job->j->failures;
}

/* Handing it back at once would only bring it back at once. */
static void hold(struct job *job, const char *why)
{
    struct jobs *j = job->j;

    if (j->failures < 1000)
        j->failures++;
    uint64_t ms = jobs_hold_ms(failures_of(job));
    struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

    list_remove(&job->link);
    list_push_back(&j->held, &job->link);
    if (j->stopping)
        return; /* closing the connection hands it back */
    complain("%s: the message goes back in %" PRIu64 " s", why, ms / 1000);
    job->held_ev = event_new(j->base, -1, 0, on_held, job);
    if (job->held_ev)
        (void)event_add(job->held_ev, &tv);
}

static void finish(struct job *job, int status)
{
    struct jobs *j = job->j;
    struct stat st = { 0 };
    char why[64];
    void *output = MAP_FAILED;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)snprintf(why, sizeof why, "command %s %d", WIFEXITED(status) ? "exit" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        hold(job, why);
        return;
    }
    j->failures = 0;
    if (job->output >= 0 && fstat(job->output, &st) == 0 && st.st_size > 0) {
        if (st.st_size <= OUTPUT_MAX)
            output = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, job->output, 0);
        if (output == MAP_FAILED) {
            hold(job, "the command wrote too much");
            return;
        }
    }
    j->done++;
    j->on_done(j->arg, job->m,
               output == MAP_FAILED ? (struct bytes){ NULL, 0 }
                                    : bytes_of(output, (size_t)st.st_size));
    if (output != MAP_FAILED)
        (void)munmap(output, (size_t)st.st_size);
    job_free(job);
}

static void step(struct jobs *j)
{
    struct list *node;

    while (!j->stopping && j->running_count < j->max && j->running_count < j->limit - j->done &&
           (node = list_pop(&j->waiting))) {
        struct job *job = container_of(node, struct job, link);
        int rc = start(job);

        if (rc != 0) {
            hold(job, strerror(rc));
            continue;
        }
        list_push_back(&j->running, &job->link);
        j->running_count++;
    }
    if (j->stopping && j->running_count == 0 && j->on_idle) {
        void (*on_idle)(void *) = j->on_idle;

        j->on_idle = NULL;
        on_idle(j->arg);
    }
}

static void on_child(evutil_socket_t number, short what, void *arg)
{
    struct jobs *j = arg;

    (void)number;
    (void)what;
    LIST_EACH (&j->running, node) {
        struct job *job = container_of(node, struct job, link);
        int status;

        if (waitpid(job->pid, &status, WNOHANG) != job->pid)
            continue;
        j->running_count--;
        finish(job, status);
    }
    step(j);
}

void jobs_init(struct jobs *j)
{
    list_init(&j->waiting);
    list_init(&j->running);
    list_init(&j->held);
    j->child_ev = evsignal_new(j->base, SIGCHLD, on_child, j);
    if (j->child_ev)
        (void)event_add(j->child_ev, NULL);
}

static void free_all(struct list *jobs)
{
    struct list *node;

    while ((node = list_first(jobs)))
        job_free(container_of(node, struct job, link));
}

void jobs_fini(struct jobs *j)
{
    free_all(&j->waiting);
    free_all(&j->running);
    free_all(&j->held);
    event_free(j->child_ev);
}

void jobs_add(struct jobs *j, const struct lodge_message *m)
{
    struct job *job;

    if (j->stopping)
        return;
    job = mem_new(struct job);
    job->j = j;
    job->m = lodge_message_copy(m);
    job->output = -1;
    list_push_back(&j->waiting, &job->link);
    step(j);
}

void jobs_forget(struct jobs *j)
{
    free_all(&j->waiting);
    free_all(&j->held);
}

void jobs_stop(struct jobs *j)
{
    j->stopping = true;
    free_all(&j->waiting);
    step(j);
}
