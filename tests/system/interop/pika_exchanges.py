# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: exchanges, bindings and where they route."""
from amqp_lib import case, equal, fresh
from pika_lib import (bodies, connect, count, declare, exchange, open_channel, pika, publish,
                      refused, refused_each)


def queues(ch, n):
    return [declare(ch) for _ in range(n)]


def routed(ch, to, key, candidates, **more):
    """Publishes once; which of the queues got it, and each once at most."""
    publish(ch, key, "x", to=to, **more)
    return [q for q in candidates if bodies(ch, q) == ["x"]]


# ---- declare, look up, delete --------------------------------------------------------------------


@case("an exchange that was declared is found passively")
def _():
    with open_channel() as ch:
        x = exchange(ch, "topic", auto_delete=False)
        ch.exchange_declare(x, "topic", passive=True)
        ch.exchange_declare(x, "fanout", passive=True, durable=True)  # only the name counts
        ch.exchange_delete(x)


@case("an exchange that is not there is 404 when looked up")
def _():
    with open_channel() as ch, refused(404, "no exchange"):
        ch.exchange_declare(fresh("x"), passive=True)


@case("declaring an exchange again alike changes nothing")
def _():
    with open_channel() as ch:
        x, (q,) = fresh("x"), queues(ch, 1)
        same = {"durable": True, "auto_delete": True,
                "arguments": {"alternate-exchange": "amq.fanout"}}
        ch.exchange_declare(x, "direct", **same)
        ch.queue_bind(q, x, "k")
        ch.exchange_declare(x, "direct", **same)
        equal(routed(ch, x, "k", [q]), [q])


@case("declaring an exchange again otherwise is 406")
def _():
    x = fresh("x")
    with open_channel() as ch:
        ch.exchange_declare(x, "direct", auto_delete=True)
        refused_each(406, {
            "type": lambda ch: ch.exchange_declare(x, "fanout", auto_delete=True),
            "durable": lambda ch: ch.exchange_declare(x, "direct", auto_delete=True, durable=True),
            "auto-delete": lambda ch: ch.exchange_declare(x, "direct"),
            "internal": lambda ch: ch.exchange_declare(
                x, "direct", auto_delete=True, internal=True),
            "alternate": lambda ch: ch.exchange_declare(x, "direct", auto_delete=True, arguments={
                "alternate-exchange": "amq.fanout"}),
        })
        ch.exchange_delete(x)


@case("names of exchanges that begin with amq. are reserved: 403")
def _():
    with open_channel() as ch, refused(403, "reserved"):
        ch.exchange_declare("amq." + fresh("x"), "direct")


@case("an unknown type of exchange is a hard error: 503")
def _():
    c = connect()
    with refused(503, "unknown exchange type"):
        c.channel().exchange_declare(fresh("x"), "no-such-type")
    assert c.is_closed


@case("the predeclared exchanges are there, durable and of their types")
def _():
    with open_channel() as ch:
        for name in ("direct", "fanout", "topic", "headers"):
            ch.exchange_declare("amq." + name, name, durable=True)
        ch.exchange_declare("amq.match", "headers", durable=True)


@case("predeclared exchanges cannot be deleted: 403")
def _():
    refused_each(403, {name: lambda ch, name=name: ch.exchange_delete(name)
                       for name in ("amq.direct", "amq.fanout", "amq.topic", "amq.match")})


@case("the default exchange is not to be declared, deleted or bound: 403")
def _():
    with open_channel() as ch:
        q, x = declare(ch, exclusive=False, auto_delete=True), exchange(ch)
        refused_each(403, {
            "declare": lambda ch: ch.exchange_declare("", "direct", durable=True),
            "delete": lambda ch: ch.exchange_delete(""),
            "bind": lambda ch: ch.queue_bind(q, "", "k"),
            "unbind": lambda ch: ch.queue_unbind(q, "", q),
            "as source": lambda ch: ch.exchange_bind(x, "", "k"),
            "as destination": lambda ch: ch.exchange_bind("", x, "k"),
        })
        ch.queue_delete(q)
        ch.exchange_delete(x)


@case("the default exchange routes by the name of the queue")
def _():
    with open_channel() as ch:
        a, b = queues(ch, 2)
        equal(routed(ch, "", a, [a, b]), [a])


@case("a deleted exchange is gone, and deleting it again is no error")
def _():
    with open_channel() as ch:
        x = exchange(ch)
        ch.exchange_delete(x)
        ch.exchange_delete(x)
        with refused(404):
            ch.exchange_declare(x, passive=True)


@case("if-unused: an exchange with bindings is not deleted, 406; one without is")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch, auto_delete=False), queues(ch, 1)
        ch.queue_bind(q, x, "k")
        refused_each(406, {"in use": lambda ch: ch.exchange_delete(x, if_unused=True)})
        ch.queue_unbind(q, x, "k")
        ch.exchange_delete(x, if_unused=True)
        with refused(404):
            ch.exchange_declare(x, passive=True)


@case("an auto-delete exchange goes with its last binding, and not before it had one")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch), queues(ch, 1)
        ch.queue_bind(q, x, "1")
        ch.queue_bind(q, x, "2")
        ch.queue_unbind(q, x, "1")
        ch.exchange_declare(x, passive=True)
        ch.queue_unbind(q, x, "2")
        with refused(404):
            ch.exchange_declare(x, passive=True)


@case("an auto-delete exchange goes with the last queue that was bound to it")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch), queues(ch, 1)
        ch.queue_bind(q, x, "k")
        ch.queue_delete(q)
        with refused(404):
            ch.exchange_declare(x, passive=True)


@case("nobody publishes to an internal exchange, 403, but exchanges route to it")
def _():
    with open_channel() as ch:
        inner, outer, (q,) = exchange(ch, internal=True), exchange(ch, "fanout"), queues(ch, 1)
        ch.queue_bind(q, inner, "k")
        ch.exchange_bind(inner, outer)
        equal(routed(ch, outer, "k", [q]), [q])
        with refused(403):
            publish(ch, "k", "x", to=inner)


# ---- bindings ------------------------------------------------------------------------------------


@case("a direct exchange routes by the whole key, to every queue bound with it")
def _():
    with open_channel() as ch:
        x, (a, b, c) = exchange(ch), queues(ch, 3)
        for q, key in ((a, "red"), (b, "red"), (c, "blue"), (a, "blue")):
            ch.queue_bind(q, x, key)
        equal(routed(ch, x, "red", [a, b, c]), [a, b])
        equal(routed(ch, x, "blue", [a, b, c]), [a, c])
        equal(routed(ch, x, "re", [a, b, c]), [])
        equal(routed(ch, x, "", [a, b, c]), [])


@case("a fanout exchange routes to all, whatever the key")
def _():
    with open_channel() as ch:
        x, (a, b) = exchange(ch, "fanout"), queues(ch, 2)
        ch.queue_bind(a, x, "this")
        ch.queue_bind(b, x)
        equal(routed(ch, x, "that", [a, b]), [a, b])


@case("a message comes once to a queue that several bindings lead to")
def _():
    with open_channel() as ch:
        x, y, (q,) = exchange(ch, "topic"), exchange(ch, "fanout"), queues(ch, 1)
        for key in ("#", "*.*", "a.*", "a.b"):
            ch.queue_bind(q, x, key)
        ch.queue_bind(q, y)
        ch.exchange_bind(y, x, "#")
        equal(routed(ch, x, "a.b", [q]), [q])


@case("a queue that is unbound gets nothing any more; the other binding stays")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch), queues(ch, 1)
        ch.queue_bind(q, x, "1")
        ch.queue_bind(q, x, "2")
        ch.queue_bind(q, x, "2")  # the same binding
        ch.queue_unbind(q, x, "2")
        equal(routed(ch, x, "2", [q]), [])
        equal(routed(ch, x, "1", [q]), [q])


@case("unbinding what is not bound is no error")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch, auto_delete=False), queues(ch, 1)
        ch.queue_unbind(q, x, "never")
        ch.exchange_unbind(x, "amq.direct", "never")
        ch.exchange_delete(x)


@case("binding a queue or an exchange that is not there is 404")
def _():
    with open_channel() as ch:
        q, x = declare(ch, exclusive=False, auto_delete=True), exchange(ch)
        refused_each(404, {
            "queue": lambda ch: ch.queue_bind(fresh(), x, "k"),
            "exchange": lambda ch: ch.queue_bind(q, fresh("x"), "k"),
            "source": lambda ch: ch.exchange_bind(x, fresh("x"), "k"),
            "destination": lambda ch: ch.exchange_bind(fresh("x"), x, "k"),
        })
        ch.queue_delete(q)
        ch.exchange_delete(x)


@case("bindings with the same key and other arguments are two")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch, "headers"), queues(ch, 1)
        for colour in ("red", "blue"):
            ch.queue_bind(q, x, "k", {"colour": colour})
        ch.queue_unbind(q, x, "k", {"colour": "red"})
        equal(routed(ch, x, "k", [q], headers={"colour": "red"}), [])
        equal(routed(ch, x, "k", [q], headers={"colour": "blue"}), [q])


# ---- exchange to exchange ------------------------------------------------------------------------


@case("exchanges are bound to exchanges, each by its own rule")
def _():
    with open_channel() as ch:
        first, second, (q,) = exchange(ch, "topic"), exchange(ch, "direct"), queues(ch, 1)
        ch.exchange_bind(second, first, "a.#")
        ch.queue_bind(q, second, "a.b")
        equal(routed(ch, first, "a.b", [q]), [q])
        equal(routed(ch, first, "a.c", [q]), [])
        ch.exchange_unbind(second, first, "a.#")
        publish(ch, "a.b", "x", to="amq.direct")
        equal(count(ch, q), (0, 0))


@case("exchanges bound in a circle route a message once")
def _():
    with open_channel() as ch:
        ring = [exchange(ch, "fanout", auto_delete=False) for _ in range(3)]
        (q,) = queues(ch, 1)
        for source, destination in zip(ring, ring[1:] + ring[:1]):
            ch.exchange_bind(destination, source)
        ch.queue_bind(q, ring[2])
        equal(routed(ch, ring[0], "k", [q]), [q])
        for x in ring:
            ch.exchange_delete(x)


# ---- alternate exchange --------------------------------------------------------------------------


@case("what an exchange cannot route goes to its alternate, and counts as routed")
def _():
    with open_channel() as ch:
        other, (lost, q) = exchange(ch, "fanout"), queues(ch, 2)
        ch.queue_bind(lost, other)
        x = exchange(ch, arguments={"alternate-exchange": other})
        ch.queue_bind(q, x, "k")
        equal(routed(ch, x, "k", [q, lost], mandatory=True), [q])
        equal(routed(ch, x, "other", [q, lost], mandatory=True), [lost])


@case("alternates are chained, one for each exchange")
def _():
    with open_channel() as ch:
        third, (q,) = exchange(ch, "fanout"), queues(ch, 1)
        ch.queue_bind(q, third)
        second = exchange(ch, arguments={"alternate-exchange": third})
        first = exchange(ch, arguments={"alternate-exchange": second})
        equal(routed(ch, first, "k", [q], mandatory=True), [q])


@case("alternates in a circle end, and an alternate that is not there routes nowhere")
def _():
    with open_channel() as ch:
        a, b = fresh("x"), fresh("x")
        exchange(ch, name=a, arguments={"alternate-exchange": b})
        for attempt in range(2):
            try:
                publish(ch, "k", "x", to=a, mandatory=True)
                raise AssertionError(f"it was routed, attempt {attempt}")
            except pika.exceptions.UnroutableError:
                pass
            exchange(ch, name=b, arguments={"alternate-exchange": a})
        ch.exchange_delete(a)
        ch.exchange_delete(b)


# ---- headers -------------------------------------------------------------------------------------


def matches(ch, x, q, arguments, headers):
    """Does a message with these headers go through a binding with those arguments?"""
    ch.queue_bind(q, x, "", arguments)
    hit = routed(ch, x, "k", [q], headers=headers) == [q]
    ch.queue_bind(q, x, "", {"keep": "the exchange"})
    ch.queue_unbind(q, x, "", arguments)
    return hit


def check_matches(table):
    with open_channel() as ch:
        x, (q,) = exchange(ch, "headers"), queues(ch, 1)
        for arguments, headers, wanted in table:
            equal(matches(ch, x, q, arguments, headers), wanted, f"{arguments} and {headers}")


@case("headers: all of a binding's must be there, and that is the rule without x-match")
def _():
    both = {"a": "1", "b": 2}
    check_matches([
        ({"x-match": "all", **both}, {"a": "1", "b": 2}, True),
        ({"x-match": "all", **both}, {"a": "1", "b": 2, "c": 3}, True),
        ({"x-match": "all", **both}, {"a": "1"}, False),
        ({"x-match": "all", **both}, {"a": "1", "b": 3}, False),
        (both, {"a": "1", "b": 2}, True),
        (both, {"a": "1"}, False),
        (both, None, False),
    ])


@case("headers: one of a binding's is enough with x-match any")
def _():
    either = {"x-match": "any", "a": "1", "b": 2}
    check_matches([
        (either, {"a": "1"}, True),
        (either, {"b": 2, "c": 3}, True),
        (either, {"a": "2", "b": 3}, False),
        (either, None, False),
    ])


@case("headers: all and any do not look at names that begin with x-")
def _():
    check_matches([
        ({"x-match": "all", "x-a": "1", "b": "2"}, {"b": "2"}, True),
        ({"x-match": "any", "x-a": "1", "b": "2"}, {"x-a": "1"}, False),
    ])


@case("headers: all-with-x and any-with-x look at them too")
def _():
    check_matches([
        ({"x-match": "all-with-x", "x-a": "1", "b": "2"}, {"b": "2"}, False),
        ({"x-match": "all-with-x", "x-a": "1", "b": "2"}, {"x-a": "1", "b": "2"}, True),
        ({"x-match": "any-with-x", "x-a": "1", "b": "2"}, {"x-a": "1"}, True),
        ({"x-match": "any-with-x", "x-a": "1", "b": "2"}, {"x-a": "2"}, False),
    ])


@case("headers: without any to match, all takes everything and any nothing")
def _():
    check_matches([
        ({"x-match": "all"}, {"a": 1}, True),
        ({"x-match": "all"}, None, True),
        ({"x-match": "any"}, {"a": 1}, False),
    ])


@case("headers: a void in a binding asks only that the header is there")
def _():
    check_matches([
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {"b": "anything"}, False),
    ])


@case("headers: a number is not its text, and true is not 1")
def _():
    check_matches([
        ({"a": 1}, {"a": "1"}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": {"b": ["c"]}}, {"a": {"b": ["c"]}}, True),
    ])


@case("headers: an x-match that is none of the four is 406")
def _():
    refused_each(406, {str(value): lambda ch, value=value: ch.queue_bind(
        declare(ch), "amq.headers", "", {"x-match": value}) for value in ("some", "", 1)})


# ---- topic ---------------------------------------------------------------------------------------

KEYS = ["", "a", "b", "a.b", "a.b.c", "a.c.b", "a..b", ".", "a.", ".a", "..", "*", "#", "a.#", "A"]

TOPIC = {  # pattern: the keys of KEYS that match
    "#": KEYS,
    "*": ["a", "b", "*", "#", "A"],
    "": [""],
    "a": ["a"],
    "a.b": ["a.b"],
    "*.*": ["a.b", ".", "a.", ".a", "a.#"],
    "a.*": ["a.b", "a.", "a.#"],
    "*.b": ["a.b"],
    "a.#": ["a", "a.b", "a.b.c", "a.c.b", "a..b", "a.", "a.#"],
    "#.b": ["b", "a.b", "a.c.b", "a..b"],
    "a.#.b": ["a.b", "a.c.b", "a..b"],
    "a.*.b": ["a.c.b", "a..b"],
    "a..b": ["a..b"],
    "a.": ["a."],
    ".": ["."],
    ".#": [".", ".a", ".."],
    "#.": [".", "a.", ".."],
    "#.#": KEYS,
    "*.#": [key for key in KEYS if key],
    "#.*": [key for key in KEYS if key],
    "#.a.#": ["a", "a.b", "a.b.c", "a.c.b", "a..b", "a.", ".a", "a.#"],
    "*.*.#": ["a.b", "a.b.c", "a.c.b", "a..b", ".", "a.", ".a", "..", "a.#"],
    "a*": [],
    "a.b#": [],
}


@case("topic: * is one word, # any number of them, and empty words count")
def _():
    with open_channel() as ch:
        x = exchange(ch, "topic", auto_delete=False)
        by_pattern = {pattern: declare(ch) for pattern in TOPIC}
        for pattern, q in by_pattern.items():
            ch.queue_bind(q, x, pattern)
        for key in KEYS:
            publish(ch, key, key, to=x)
        got = {pattern: bodies(ch, q) for pattern, q in by_pattern.items()}
        ch.exchange_delete(x)
        equal({p: g for p, g in got.items() if g != TOPIC[p]}, {}, "by pattern")


@case("topic: a key has up to 255 bytes and any number of words")
def _():
    with open_channel() as ch:
        x, (q,) = exchange(ch, "topic"), queues(ch, 1)
        ch.queue_bind(q, x, "#.end")
        equal(routed(ch, x, "." * 252 + "end", [q]), [q])
        equal(routed(ch, x, "." * 255, [q]), [])
