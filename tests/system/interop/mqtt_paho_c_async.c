// SPDX-License-Identifier: MIT
/* The other API of the Paho C client (MQTTAsync) against a server.  Its callbacks come from threads
 * of its own: one lock and one condition are for all that they tell. */
#include "tests/system/interop/mqtt_paho_c.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

struct heard {
    struct heard *next;
    char *topic;
    MQTTAsync_message *m;
};

struct client {
    MQTTAsync c;
    int version;
    bool present; /* its session was there */
    unsigned asked, done, failed;
    int code; /* of the last that was done: the QoS granted */
    struct heard *first, **last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

/* ---- what the library tells ---- */

static void finished(struct client *o, bool ok, int code)
{
    (void)pthread_mutex_lock(&lock);
    o->code = code;
    if (ok)
        o->done++;
    else
        o->failed++;
    (void)pthread_cond_broadcast(&told);
    (void)pthread_mutex_unlock(&lock);
}

static void on_connect(void *of, MQTTAsync_successData *d)
{
    ((struct client *)of)->present = d && d->alt.connect.sessionPresent;
    finished(of, true, 0);
}

static void on_connect_5(void *of, MQTTAsync_successData5 *d)
{
    ((struct client *)of)->present = d && d->alt.connect.sessionPresent;
    finished(of, true, 0);
}

static void on_success(void *of, MQTTAsync_successData *d)
{
    finished(of, true, d ? d->alt.qos : 0);
}

static void on_success_5(void *of, MQTTAsync_successData5 *d)
{
    finished(of, true, d ? (int)d->reasonCode : 0);
}

static void on_failure(void *of, MQTTAsync_failureData *d)
{
    finished(of, false, d ? d->code : -1);
}

static void on_failure_5(void *of, MQTTAsync_failureData5 *d)
{
    finished(of, false, d ? (int)d->reasonCode : -1);
}

static int on_message(void *of, char *topic, int n, MQTTAsync_message *m)
{
    struct heard *h = calloc(1, sizeof *h);
    struct client *o = of;

    (void)n;
    if (!h)
        abort();
    h->topic = topic;
    h->m = m;
    (void)pthread_mutex_lock(&lock);
    *o->last = h;
    o->last = &h->next;
    (void)pthread_cond_broadcast(&told);
    (void)pthread_mutex_unlock(&lock);
    return 1;
}

/* ---- waiting ---- */

static struct timespec until(int ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* All that was asked for is done, and none of it failed. */
static bool all_done(struct client *o)
{
    struct timespec end = until(PATIENCE_MS);
    int rc = 0;

    (void)pthread_mutex_lock(&lock);
    while (o->done + o->failed < o->asked && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&told, &lock, &end);
    bool ok = o->failed == 0 && o->done == o->asked;
    (void)pthread_mutex_unlock(&lock);
    return ok;
}

static void heard_free(struct heard *h)
{
    MQTTAsync_freeMessage(&h->m);
    MQTTAsync_free(h->topic);
    free(h);
}

/* The caller's; NULL: none came. */
static struct heard *next_heard(struct client *o, int ms)
{
    struct timespec end = until(ms);
    int rc = 0;

    (void)pthread_mutex_lock(&lock);
    while (!o->first && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&told, &lock, &end);
    struct heard *h = o->first;
    if (h && !(o->first = h->next))
        o->last = &o->first;
    (void)pthread_mutex_unlock(&lock);
    return h;
}

/* ---- asking ---- */

static MQTTAsync_responseOptions response(struct client *o)
{
    MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;

    r.context = o;
    if (o->version < MQTTVERSION_5) {
        r.onSuccess = on_success;
        r.onFailure = on_failure;
    } else {
        r.onSuccess5 = on_success_5;
        r.onFailure5 = on_failure_5;
    }
    o->asked++;
    return r;
}

static void connect_options(struct client *o, MQTTAsync_connectOptions *opts, bool clean,
                            MQTTProperties *props)
{
    MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
    MQTTProperty expiry = { .identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                            .value = { .integer4 = clean ? 0 : 60 } };

    *opts = o->version < MQTTVERSION_5 ? v3 : v5;
    opts->MQTTVersion = o->version;
    opts->maxInflight = 500;
    opts->context = o;
    if (o->version < MQTTVERSION_5) {
        opts->cleansession = clean;
        opts->onSuccess = on_connect;
        opts->onFailure = on_failure;
    } else {
        opts->cleanstart = clean;
        opts->onSuccess5 = on_connect_5;
        opts->onFailure5 = on_failure_5;
        (void)MQTTProperties_add(props, &expiry);
        opts->connectProperties = props;
    }
}

static bool client_open(struct client *o, int version, const char *id, bool clean,
                        MQTTAsync_willOptions *will)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
    MQTTProperties props = MQTTProperties_initializer;
    MQTTAsync_connectOptions opts;

    *o = (struct client){ .version = version };
    o->last = &o->first;
    create.MQTTVersion = version;
    create.maxBufferedMessages = 2 * BURST;
    if (MQTTAsync_createWithOptions(&o->c, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) ||
        MQTTAsync_setCallbacks(o->c, o, NULL, on_message, NULL))
        return false;
    connect_options(o, &opts, clean, &props);
    opts.will = will;
    o->asked++;
    bool ok = MQTTAsync_connect(o->c, &opts) == MQTTASYNC_SUCCESS && all_done(o);
    MQTTProperties_free(&props);
    return ok;
}

static void client_forget(struct client *o)
{
    struct heard *h;

    MQTTAsync_destroy(&o->c);
    while ((h = next_heard(o, 0)))
        heard_free(h);
}

static void client_close(struct client *o)
{
    MQTTAsync_disconnectOptions opts = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions v5 = MQTTAsync_disconnectOptions_initializer5;

    if (o->version >= MQTTVERSION_5)
        opts = v5;
    opts.context = o;
    if (o->version < MQTTVERSION_5)
        opts.onSuccess = on_success;
    else
        opts.onSuccess5 = on_success_5;
    o->asked++;
    if (MQTTAsync_disconnect(o->c, &opts) == MQTTASYNC_SUCCESS)
        (void)all_done(o);
    client_forget(o);
}

static int subscribe(struct client *o, const char *filter, int qos)
{
    MQTTAsync_responseOptions r = response(o);

    if (MQTTAsync_subscribe(o->c, filter, qos, &r) != MQTTASYNC_SUCCESS || !all_done(o))
        return -1;
    return o->code;
}

/* It may still be on its way: all_done. */
static bool put(struct client *o, const char *topic, const void *payload, size_t n, int qos,
                bool retained)
{
    MQTTAsync_responseOptions r = response(o);
    MQTTAsync_message m = MQTTAsync_message_initializer;

    m.payload = (void *)(uintptr_t)payload;
    m.payloadlen = (int)n;
    m.qos = qos;
    m.retained = retained;
    return MQTTAsync_sendMessage(o->c, topic, &m, &r) == MQTTASYNC_SUCCESS;
}

static bool say(struct client *o, const char *topic, const char *text, int qos, bool retained)
{
    return put(o, topic, text, strlen(text), qos, retained) && all_done(o);
}

/* The next message is this one. */
static bool hears(struct client *o, const char *topic, const void *payload, size_t n, int qos,
                  bool retained)
{
    struct heard *h = next_heard(o, PATIENCE_MS);

    if (!h)
        return false;
    bool same = strcmp(h->topic, topic) == 0 && (size_t)h->m->payloadlen == n &&
                memcmp(h->m->payload, payload, n) == 0 && h->m->qos == qos &&
                !!h->m->retained == retained;
    heard_free(h);
    return same;
}

static bool hears_text(struct client *o, const char *topic, const char *text, int qos)
{
    return hears(o, topic, text, strlen(text), qos, false);
}

static bool hears_nothing(struct client *o)
{
    struct heard *h = next_heard(o, QUIET_MS);

    if (!h)
        return true;
    heard_free(h);
    return false;
}

/* ---- checks ---- */

static bool every_qos(int version)
{
    const char *topic = fresh("t");
    struct client a, b;
    char body[EVERY_BYTE];

    for (unsigned i = 0; i < EVERY_BYTE; i++)
        body[i] = (char)i;
    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 2) == 2);
    for (int qos = 0; qos <= 2; qos++) {
        NEED(put(&a, topic, body, sizeof body, qos, false) && all_done(&a));
        NEED(hears(&b, topic, body, sizeof body, qos, false));
    }
    NEED(hears_nothing(&b));
    client_close(&a);
    client_close(&b);
    return true;
}

static bool clean_or_resumed(int version)
{
    const char *id = fresh("c"), *topic = fresh("t");
    struct client a, b;

    NEED(client_open(&a, version, id, false, NULL));
    NEED(!a.present);
    NEED(subscribe(&a, topic, 2) == 2);
    client_close(&a);
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    for (int qos = 1; qos <= 2; qos++)
        NEED(say(&b, topic, qos == 1 ? "one" : "two", qos, false));
    NEED(client_open(&a, version, id, false, NULL));
    NEED(a.present);
    NEED(hears_text(&a, topic, "one", 1));
    NEED(hears_text(&a, topic, "two", 2));
    client_close(&a);
    NEED(client_open(&a, version, id, true, NULL));
    NEED(!a.present);
    NEED(say(&b, topic, "unheard", 1, false));
    NEED(hears_nothing(&a));
    client_close(&a);
    client_close(&b);
    return true;
}

static bool retained(int version)
{
    const char *topic = fresh("t");
    struct client a, b;

    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(say(&a, topic, "kept", 1, true));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 2) == 2);
    NEED(hears(&b, topic, "kept", 4, 1, true));
    NEED(say(&a, topic, "", 1, true));
    NEED(hears_text(&b, topic, "", 1));
    client_close(&a);
    client_close(&b);
    return true;
}

/* Who takes over a client's name ends its connection as a failing network does. */
static bool will_of_who_is_cut_off(int version)
{
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    const char *topic = fresh("t"), *id = fresh("c");
    struct client watch, a, b;

    will.topicName = topic;
    will.message = "gone";
    NEED(client_open(&watch, version, fresh("c"), true, NULL));
    NEED(subscribe(&watch, topic, 2) == 2);
    for (int qos = 0; qos <= 2; qos++) {
        will.qos = qos;
        NEED(client_open(&a, version, id, true, &will));
        NEED(client_open(&b, version, id, true, NULL));
        NEED(hears_text(&watch, topic, "gone", qos));
        client_forget(&a);
        client_close(&b);
    }
    NEED(client_open(&a, version, id, true, &will));
    client_close(&a);
    NEED(hears_nothing(&watch));
    client_close(&watch);
    return true;
}

static bool wildcards(int version)
{
    const char *root = fresh("t");
    struct client a, b;

    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, join(root, "/+/c"), 1) == 1);
    NEED(subscribe(&b, join(root, "/x/#"), 1) == 1);
    NEED(say(&a, join(root, "/no"), "no", 1, false));
    NEED(say(&a, join(root, "/v1.2/c"), "plus", 1, false));
    NEED(say(&a, join(root, "/x/y/z"), "hash", 1, false));
    NEED(hears_text(&b, join(root, "/v1.2/c"), "plus", 1));
    NEED(hears_text(&b, join(root, "/x/y/z"), "hash", 1));
    MQTTAsync_responseOptions r = response(&b);
    NEED(MQTTAsync_unsubscribe(b.c, join(root, "/x/#"), &r) == MQTTASYNC_SUCCESS && all_done(&b));
    NEED(say(&a, join(root, "/x/y"), "unheard", 1, false));
    NEED(hears_nothing(&b));
    client_close(&a);
    client_close(&b);
    return true;
}

static bool burst(int version)
{
    const char *topic = fresh("t");
    struct client a, b;
    char text[16];

    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 2) == 2);
    for (int i = 0; i < BURST; i++) {
        int n = snprintf(text, sizeof text, "%d", i);

        NEED(put(&a, topic, text, (size_t)n, 2, false));
    }
    NEED(all_done(&a));
    for (int i = 0; i < BURST; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        NEED(hears_text(&b, topic, text, 2));
    }
    NEED(hears_nothing(&b));
    client_close(&a);
    client_close(&b);
    return true;
}

static bool properties(int version)
{
    MQTTProperty user = { .identifier = MQTTPROPERTY_CODE_USER_PROPERTY };
    MQTTAsync_message m = MQTTAsync_message_initializer;
    char name[] = "key", values[] = "bab";
    const char *topic = fresh("t");
    struct client a, b;

    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 1) == 1);
    user.value.data = (MQTTLenString){ 3, name };
    for (int i = 0; i < 3; i++) {
        user.value.value = (MQTTLenString){ 1, &values[i] };
        (void)MQTTProperties_add(&m.properties, &user);
    }
    m.qos = 1;
    MQTTAsync_responseOptions r = response(&a);
    NEED(MQTTAsync_sendMessage(a.c, topic, &m, &r) == MQTTASYNC_SUCCESS && all_done(&a));
    MQTTProperties_free(&m.properties);
    struct heard *h = next_heard(&b, PATIENCE_MS);
    NEED(h);
    for (int i = 0; i < 3; i++) {
        MQTTProperty *p = MQTTProperties_getPropertyAt(&h->m->properties,
                                                       MQTTPROPERTY_CODE_USER_PROPERTY, i);

        NEED(p && p->value.value.len == 1 && p->value.value.data[0] == values[i]);
    }
    heard_free(h);
    client_close(&a);
    client_close(&b);
    return true;
}

static bool shared(int version)
{
    enum { MANY = 40 };
    const char *topic = fresh("t"), *group = fresh("g");
    struct client a, member[2];
    char filter[160];
    int got[2] = { 0 };

    (void)snprintf(filter, sizeof filter, "$share/%s/%s", group, topic);
    NEED(client_open(&a, version, fresh("c"), true, NULL));
    for (int i = 0; i < 2; i++) {
        NEED(client_open(&member[i], version, fresh("c"), true, NULL));
        NEED(subscribe(&member[i], filter, 1) == 1);
    }
    for (int i = 0; i < MANY; i++)
        NEED(say(&a, topic, "x", 1, false));
    for (int i = 0; i < 2; i++)
        while (!hears_nothing(&member[i]))
            got[i]++;
    NEED(got[0] + got[1] == MANY);
    NEED(got[0] >= MANY / 8 && got[1] >= MANY / 8);
    for (int i = 0; i < 2; i++)
        client_close(&member[i]);
    client_close(&a);
    return true;
}

static const struct check checks[] = {
    { "QoS 0, 1 and 2 both ways, of every byte", every_qos, false },
    { "a session that stays gets what it missed, a clean start gets nothing", clean_or_resumed,
      false },
    { "a retained message is kept, and an empty one removes it", retained, false },
    { "a will where the client is cut off, not where it goes", will_of_who_is_cut_off, false },
    { "wildcards, and the end of a subscription", wildcards, false },
    { "10,000 messages of QoS 2 in a row come once, in order", burst, false },
    { "User Properties come as they were sent, in order", properties, true },
    { "two share a subscription", shared, true },
};

int main(int argc, char **argv)
{
    return run_checks(argc, argv, "asynchronous", checks, sizeof checks / sizeof *checks);
}
