// SPDX-License-Identifier: MIT
/* The blocking API of the Paho C client (MQTTClient) against a server. */
#include "tests/system/interop/mqtt_paho_c.h"

#include <MQTTClient.h>
#include <sys/wait.h>

struct client {
    MQTTClient c;
    int version;
    bool present; /* its session was there; it tells so of 3.1.1 only */
};

struct will {
    const char *topic, *payload;
    int qos;
};

static bool client_open(struct client *o, int version, const char *id, bool clean,
                        const struct will *w)
{
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions opts = MQTTClient_connectOptions_initializer5;
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    MQTTProperties props = MQTTProperties_initializer;
    MQTTProperty expiry = { .identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                            .value = { .integer4 = clean ? 0 : 60 } };
    int rc;

    *o = (struct client){ .version = version };
    create.MQTTVersion = version;
    if (version < MQTTVERSION_5)
        opts = v3;
    opts.MQTTVersion = version;
    opts.cleansession = version < MQTTVERSION_5 && clean;
    opts.cleanstart = version >= MQTTVERSION_5 && clean;
    opts.reliable = 0;
    opts.maxInflightMessages = 500;
    if (w) {
        will.topicName = w->topic;
        will.message = w->payload;
        will.qos = w->qos;
        opts.will = &will;
    }
    if (MQTTClient_createWithOptions(&o->c, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create))
        return false;
    if (version < MQTTVERSION_5) {
        rc = MQTTClient_connect(o->c, &opts);
        o->present = opts.returned.sessionPresent;
        return rc == MQTTCLIENT_SUCCESS;
    }
    (void)MQTTProperties_add(&props, &expiry);
    MQTTResponse r = MQTTClient_connect5(o->c, &opts, &props, NULL);
    o->present = opts.returned.sessionPresent;
    rc = (int)r.reasonCode;
    MQTTResponse_free(r);
    MQTTProperties_free(&props);
    return rc == MQTTCLIENT_SUCCESS;
}

static void client_close(struct client *o)
{
    if (o->version < MQTTVERSION_5)
        (void)MQTTClient_disconnect(o->c, PATIENCE_MS);
    else
        (void)MQTTClient_disconnect5(o->c, PATIENCE_MS, MQTTREASONCODE_SUCCESS, NULL);
    MQTTClient_destroy(&o->c);
}

/* The QoS granted, or what there is instead. */
static int subscribe(struct client *o, const char *filter, int qos)
{
    MQTTResponse r;
    int code;

    if (o->version < MQTTVERSION_5)
        return MQTTClient_subscribe(o->c, filter, qos) == MQTTCLIENT_SUCCESS ? qos : -1;
    r = MQTTClient_subscribe5(o->c, filter, qos, NULL, NULL);
    code = (int)r.reasonCode;
    MQTTResponse_free(r);
    return code;
}

/* Waits until it is done, if `wait`. */
static bool publish(struct client *o, const char *topic, MQTTClient_message *m, bool wait)
{
    MQTTClient_deliveryToken token = 0;
    int rc;

    if (o->version < MQTTVERSION_5) {
        rc = MQTTClient_publishMessage(o->c, topic, m, &token);
    } else {
        MQTTResponse r = MQTTClient_publishMessage5(o->c, topic, m, &token);

        rc = (int)r.reasonCode;
        MQTTResponse_free(r);
    }
    return rc == MQTTCLIENT_SUCCESS &&
           (!wait || MQTTClient_waitForCompletion(o->c, token, PATIENCE_MS) == MQTTCLIENT_SUCCESS);
}

static MQTTClient_message message(const void *payload, size_t n, int qos, bool retained)
{
    MQTTClient_message m = MQTTClient_message_initializer;

    m.payload = (void *)(uintptr_t)payload;
    m.payloadlen = (int)n;
    m.qos = qos;
    m.retained = retained;
    return m;
}

static bool say(struct client *o, const char *topic, const char *text, int qos, bool retained)
{
    MQTTClient_message m = message(text, strlen(text), qos, retained);

    return publish(o, topic, &m, true);
}

/* It ends early, and with their result, for what happens to other clients' sockets. */
static MQTTClient_message *receive(struct client *o, char **topic)
{
    MQTTClient_message *m = NULL;
    int n = 0;

    for (int tries = 0; tries < 100 && !m; tries++)
        (void)MQTTClient_receive(o->c, topic, &n, &m, PATIENCE_MS);
    return m;
}

/* The next message is this one. */
static bool hears(struct client *o, const char *topic, const void *payload, size_t n, int qos,
                  bool retained)
{
    char *t = NULL;
    MQTTClient_message *m = receive(o, &t);

    if (!m)
        return false;
    bool same = strcmp(t, topic) == 0 && (size_t)m->payloadlen == n &&
                memcmp(m->payload, payload, n) == 0 && m->qos == qos && !!m->retained == retained;
    MQTTClient_freeMessage(&m);
    MQTTClient_free(t);
    return same;
}

static bool hears_text(struct client *o, const char *topic, const char *text, int qos)
{
    return hears(o, topic, text, strlen(text), qos, false);
}

static bool hears_nothing(struct client *o)
{
    MQTTClient_message *m = NULL;
    char *t = NULL;
    int n = 0;

    (void)MQTTClient_receive(o->c, &t, &n, &m, QUIET_MS);
    if (!m)
        return true;
    MQTTClient_freeMessage(&m);
    MQTTClient_free(t);
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
        MQTTClient_message m = message(body, sizeof body, qos, false);

        NEED(publish(&a, topic, &m, true));
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
    NEED(a.present || version >= MQTTVERSION_5);
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
    client_close(&b);
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 2) == 2);
    NEED(hears_nothing(&b));
    client_close(&a);
    client_close(&b);
    return true;
}

/* A process of its own that connects and ends without a word. */
static bool cut_off(int version, const struct will *w)
{
    struct client a;
    pid_t child = fork();
    int status = 1;

    if (child == 0)
        _exit(client_open(&a, version, fresh("c"), true, w) ? 0 : 1);
    return waitpid(child, &status, 0) == child && status == 0;
}

static bool will_of_who_is_cut_off(int version)
{
    const char *topic = fresh("t");
    struct client watch, a;

    NEED(client_open(&watch, version, fresh("c"), true, NULL));
    NEED(subscribe(&watch, topic, 2) == 2);
    for (int qos = 0; qos <= 2; qos++) {
        struct will w = { topic, "gone", qos };

        NEED(cut_off(version, &w));
        NEED(hears_text(&watch, topic, "gone", qos));
        NEED(client_open(&a, version, fresh("c"), true, &w));
        client_close(&a);
        NEED(hears_nothing(&watch));
    }
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
    if (version < MQTTVERSION_5)
        NEED(MQTTClient_unsubscribe(b.c, join(root, "/x/#")) == MQTTCLIENT_SUCCESS);
    else
        MQTTResponse_free(MQTTClient_unsubscribe5(b.c, join(root, "/x/#"), NULL));
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
        MQTTClient_message m = message(text, (size_t)n, 2, false);

        NEED(publish(&a, topic, &m, i == BURST - 1));
    }
    for (int i = 0; i < BURST; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        NEED(hears_text(&b, topic, text, 2));
    }
    NEED(hears_nothing(&b));
    client_close(&a);
    client_close(&b);
    return true;
}

static void add_text(MQTTProperties *to, enum MQTTPropertyCodes code, const char *data,
                     const char *value)
{
    MQTTProperty p = { .identifier = code };

    p.value.data.data = (char *)(uintptr_t)data;
    p.value.data.len = (int)strlen(data);
    if (value) {
        p.value.value.data = (char *)(uintptr_t)value;
        p.value.value.len = (int)strlen(value);
    }
    (void)MQTTProperties_add(to, &p);
}

static bool same_text(MQTTProperties *of, enum MQTTPropertyCodes code, int at, const char *data,
                      const char *value)
{
    MQTTProperty *p = MQTTProperties_getPropertyAt(of, code, at);

    return p && (size_t)p->value.data.len == strlen(data) &&
           memcmp(p->value.data.data, data, strlen(data)) == 0 &&
           (!value || ((size_t)p->value.value.len == strlen(value) &&
                       memcmp(p->value.value.data, value, strlen(value)) == 0));
}

static bool properties(int version)
{
    MQTTProperty expiry = { .identifier = MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL,
                            .value = { .integer4 = 100 } };
    MQTTProperty format = { .identifier = MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR,
                            .value = { .byte = 1 } };
    MQTTClient_message m = message("text", 4, 1, false), *got = NULL;
    const char *topic = fresh("t");
    struct client a, b;
    char *t = NULL;

    NEED(client_open(&a, version, fresh("c"), true, NULL));
    NEED(client_open(&b, version, fresh("c"), true, NULL));
    NEED(subscribe(&b, topic, 1) == 1);
    add_text(&m.properties, MQTTPROPERTY_CODE_CONTENT_TYPE, "text/plain", NULL);
    add_text(&m.properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, "re/ply", NULL);
    add_text(&m.properties, MQTTPROPERTY_CODE_CORRELATION_DATA, "7", NULL);
    add_text(&m.properties, MQTTPROPERTY_CODE_USER_PROPERTY, "b", "1");
    add_text(&m.properties, MQTTPROPERTY_CODE_USER_PROPERTY, "a", "2");
    add_text(&m.properties, MQTTPROPERTY_CODE_USER_PROPERTY, "b", "1");
    (void)MQTTProperties_add(&m.properties, &expiry);
    (void)MQTTProperties_add(&m.properties, &format);
    NEED(publish(&a, topic, &m, true));
    NEED((got = receive(&b, &t)));
    MQTTProperties *p = &got->properties;
    NEED(same_text(p, MQTTPROPERTY_CODE_CONTENT_TYPE, 0, "text/plain", NULL));
    NEED(same_text(p, MQTTPROPERTY_CODE_RESPONSE_TOPIC, 0, "re/ply", NULL));
    NEED(same_text(p, MQTTPROPERTY_CODE_CORRELATION_DATA, 0, "7", NULL));
    NEED(same_text(p, MQTTPROPERTY_CODE_USER_PROPERTY, 0, "b", "1"));
    NEED(same_text(p, MQTTPROPERTY_CODE_USER_PROPERTY, 1, "a", "2"));
    NEED(same_text(p, MQTTPROPERTY_CODE_USER_PROPERTY, 2, "b", "1"));
    NEED(MQTTProperties_getNumericValue(p, MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR) == 1);
    int64_t left = MQTTProperties_getNumericValue(p, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL);
    NEED(left > 50 && left <= 100);
    MQTTClient_freeMessage(&got);
    MQTTClient_free(t);
    MQTTProperties_free(&m.properties);
    client_close(&a);
    client_close(&b);
    return true;
}

static bool shared(int version)
{
    enum { MANY = 40 };
    const char *topic = fresh("t"), *group = fresh("g");
    char filter[160];
    struct client a, member[2];
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
    { "properties come as they were sent, in order", properties, true },
    { "two share a subscription", shared, true },
};

int main(int argc, char **argv)
{
    return run_checks(argc, argv, "blocking", checks, sizeof checks / sizeof *checks);
}
