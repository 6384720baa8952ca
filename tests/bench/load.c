// SPDX-License-Identifier: MIT
/* load - measures a message broker; see load.h, and docs/performance.md for how to read it. */
#include "tests/bench/load.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"

static const struct speaker *const speakers[] = { &speaker_stomp, &speaker_amqp, &speaker_redis,
                                                  &speaker_beanstalk, &speaker_mqtt };
static const char *const modes[] = { "pub", "sub", "pubsub", "latency", "idle", "sync" };

static const char usage_text[] =
    "usage: load --speak stomp|amqp|mqtt|redis|beanstalk --mode pub|sub|pubsub|latency|idle "
    "[options]\n"
    "       load --mode sync --dir DIR [--seconds S]\n"
    "  --port N          on this machine (the protocol's own)\n"
    "  --pubs N          publishing connections (1)\n"
    "  --subs N          consuming connections (1)\n"
    "  --window N        unconfirmed messages of a publisher (1)\n"
    "  --prefetch N      unacknowledged messages of a consumer (1000)\n"
    "  --fanout          mqtt: every consumer gets every message, at QoS 0\n"
    "  --ack-each        acknowledge every message, not batches of them\n"
    "  --queue NAME      (bench)\n"
    "  --queues K        NAME-0 ... NAME-(K-1): publishers go round them, consumers share them\n"
    "  --queue-arg K=V   amqp: an argument of the queues that are declared; up to 8 of them\n"
    "  --size BYTES      of a body, at least 32 (100)\n"
    "  --count N         messages in all; sub: how many there are\n"
    "  --seconds S       publish, or hold idle connections, that long\n"
    "  --rate R          latency: messages a second; time counts from when one was due\n"
    "  --warm S          latency: leave out the beginning (1)\n"
    "  --quiet S         give up after a silence (15)\n"
    "  --retry S         connect again and again: the server is starting\n"
    "  --server-pid PID  measure that process too\n"
    "  --dir DIR         a directory on the server's disk\n"
    "  --json\n";

enum option_key {
    KEY_SPEAK,
    KEY_MODE,
    KEY_PORT,
    KEY_PUBS,
    KEY_SUBS,
    KEY_WINDOW,
    KEY_PREFETCH,
    KEY_FANOUT,
    KEY_ACK_EACH,
    KEY_QUEUE,
    KEY_QUEUES,
    KEY_QUEUE_ARG,
    KEY_SIZE,
    KEY_COUNT,
    KEY_SECONDS,
    KEY_RATE,
    KEY_WARM,
    KEY_QUIET,
    KEY_RETRY,
    KEY_SERVER_PID,
    KEY_DIR,
    KEY_JSON
};

static const struct option long_options[] = {
    { "speak", required_argument, NULL, KEY_SPEAK },
    { "mode", required_argument, NULL, KEY_MODE },
    { "port", required_argument, NULL, KEY_PORT },
    { "pubs", required_argument, NULL, KEY_PUBS },
    { "subs", required_argument, NULL, KEY_SUBS },
    { "window", required_argument, NULL, KEY_WINDOW },
    { "prefetch", required_argument, NULL, KEY_PREFETCH },
    { "fanout", no_argument, NULL, KEY_FANOUT },
    { "ack-each", no_argument, NULL, KEY_ACK_EACH },
    { "queue", required_argument, NULL, KEY_QUEUE },
    { "queues", required_argument, NULL, KEY_QUEUES },
    { "queue-arg", required_argument, NULL, KEY_QUEUE_ARG },
    { "size", required_argument, NULL, KEY_SIZE },
    { "count", required_argument, NULL, KEY_COUNT },
    { "seconds", required_argument, NULL, KEY_SECONDS },
    { "rate", required_argument, NULL, KEY_RATE },
    { "warm", required_argument, NULL, KEY_WARM },
    { "quiet", required_argument, NULL, KEY_QUIET },
    { "retry", required_argument, NULL, KEY_RETRY },
    { "server-pid", required_argument, NULL, KEY_SERVER_PID },
    { "dir", required_argument, NULL, KEY_DIR },
    { "json", no_argument, NULL, KEY_JSON },
    { NULL, 0, NULL, 0 },
};

_Noreturn void load_die(const char *what)
{
    (void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static _Noreturn void usage(void)
{
    (void)fputs(usage_text, stderr);
    exit(2);
}

const char *load_queue_name(const struct load *l, unsigned queue, char out[128])
{
    if (l->o.queues > 1)
        (void)snprintf(out, 128, "%.100s-%u", l->o.queue, queue);
    else
        (void)snprintf(out, 128, "%.100s", l->o.queue);
    return out;
}

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t v;

    if (!bytes_to_u64(bytes_str(text), max, &v))
        usage();
    return v;
}

static double decimal(const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end != '\0' || !(v >= 0 && v <= 1e9))
        usage();
    return v;
}

static const struct speaker *speaker_named(const char *name)
{
    for (size_t i = 0; i < sizeof speakers / sizeof speakers[0]; i++)
        if (strcmp(speakers[i]->name, name) == 0)
            return speakers[i];
    usage();
}

static enum load_mode mode_named(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i], name) == 0)
            return (enum load_mode)i;
    usage();
}

static bool take_count(struct load_options *o, int key, const char *v)
{
    switch (key) {
    case KEY_PORT:
        o->port = (uint16_t)number(v, UINT16_MAX);
        return true;
    case KEY_PUBS:
        o->pubs = (unsigned)number(v, 4096);
        return true;
    case KEY_SUBS:
        o->subs = (unsigned)number(v, 1 << 20);
        return true;
    case KEY_WINDOW:
        o->window = (unsigned)number(v, 1 << 20);
        return true;
    case KEY_PREFETCH:
        o->prefetch = (unsigned)number(v, 1 << 20);
        return true;
    case KEY_QUEUES:
        o->queues = (unsigned)number(v, 1 << 20);
        return true;
    case KEY_SIZE:
        o->size = (size_t)number(v, 1 << 30);
        return true;
    case KEY_COUNT:
        o->count = number(v, UINT64_MAX);
        return true;
    case KEY_SERVER_PID:
        o->server_pid = (int)number(v, INT32_MAX);
        return true;
    default:
        return false;
    }
}

static bool take_decimal(struct load_options *o, int key, const char *v)
{
    double *to = key == KEY_SECONDS ? &o->seconds
                 : key == KEY_RATE  ? &o->rate
                 : key == KEY_WARM  ? &o->warm_s
                 : key == KEY_QUIET ? &o->quiet_s
                 : key == KEY_RETRY ? &o->retry_s
                                    : NULL;

    if (to)
        *to = decimal(v);
    return to;
}

static void take_queue_arg(struct load_options *o, const char *v)
{
    if (!strchr(v, '=') || o->queue_args == QUEUE_ARGS_MAX)
        usage();
    o->queue_arg[o->queue_args++] = v;
}

static void take_other(struct load_options *o, int key, const char *v)
{
    switch (key) {
    case KEY_SPEAK:
        o->speaker = speaker_named(v);
        break;
    case KEY_MODE:
        o->mode = mode_named(v);
        break;
    case KEY_QUEUE:
        o->queue = v;
        break;
    case KEY_QUEUE_ARG:
        take_queue_arg(o, v);
        break;
    case KEY_DIR:
        o->dir = v;
        break;
    case KEY_FANOUT:
        o->fanout = true;
        break;
    case KEY_ACK_EACH:
        o->ack_each = true;
        break;
    case KEY_JSON:
        o->json = true;
        break;
    default:
        usage();
    }
}

/* MQTT numbers what is unconfirmed with 16 bits, and a session has one consumer. */
static bool fit_mqtt(const struct load_options *o)
{
    return o->window <= 16384 && (o->mode != MODE_SUB || o->subs == 1);
}

static void read_options(int argc, char **argv, struct load_options *o)
{
    int key;

    while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (!take_count(o, key, optarg) && !take_decimal(o, key, optarg))
            take_other(o, key, optarg);
    if (optind != argc || (o->mode == MODE_SYNC ? !o->dir : !o->speaker) || o->window == 0 ||
        o->prefetch == 0 || o->queues == 0 || o->size < sizeof(struct stamp) ||
        (o->mode == MODE_LATENCY && !(o->rate > 0)) ||
        (o->queue_args > 0 && o->speaker != &speaker_amqp) ||
        (o->fanout && o->speaker != &speaker_mqtt) || (o->speaker == &speaker_mqtt && !fit_mqtt(o)))
        usage();
    if (o->mode == MODE_PUB)
        o->subs = 0;
    if (o->mode == MODE_SUB || o->mode == MODE_IDLE)
        o->pubs = 0;
    if (o->port == 0 && o->speaker)
        o->port = o->speaker->port;
}

static void prepare(struct load *l)
{
    uint64_t hash = bytes_hash(bytes_str(l->o.queue), 0);

    l->tag = (uint32_t)hash | 1;
    l->seen.consumers = l->o.subs;
    l->seen.queues = l->o.queues;
    l->body = mem_alloc(l->o.size);
    for (size_t i = 0; i < l->o.size; i++) /* text that does not compress away */
        l->body[i] = (uint8_t)('a' + (hash = hash * 6364136223846793005ULL + 1) % 8191 % 26);
    l->prefix = mem_array(l->o.queues, sizeof *l->prefix);
    for (unsigned q = 0; q < l->o.queues; q++)
        l->o.speaker->prefix(l, q, &l->prefix[q]);
}

int main(int argc, char **argv)
{
    static struct load l = {
        .o = { .queue = "bench",
               .pubs = 1,
               .subs = 1,
               .queues = 1,
               .window = 1,
               .prefetch = 1000,
               .size = 100,
               .warm_s = 1,
               .quiet_s = 15 },
    };
    struct rlimit files;

    read_options(argc, argv, &l.o);
    if (l.o.mode == MODE_SYNC) {
        load_sync(&l.o);
        return fflush(stdout) == 0 ? 0 : 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    prepare(&l);
    load_run(&l);
    return fflush(stdout) == 0 ? 0 : 2;
}
