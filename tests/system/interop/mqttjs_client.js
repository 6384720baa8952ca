// SPDX-License-Identifier: MIT
// npm's mqtt against a server: node mqttjs_client.js PORT|URL; a line of result per check and version.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const mqtt = require('mqtt');

const url = process.argv[2].includes(':') ? process.argv[2] : `mqtt://127.0.0.1:${process.argv[2]}`;
const patience = 10000;
const run = crypto.randomBytes(3).toString('hex');
let names = 0;

function fresh(kind) {
  names += 1;
  return `js-${run}-${kind || 'q'}${names}`;
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

function within(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience);
    start((value) => { clearTimeout(timer); resolve(value); });
  });
}

// A connected client; what comes queues up until asked for.
async function connect(version, options) {
  const c = mqtt.connect(url, {
    protocolVersion: version, clientId: fresh('c'), reconnectPeriod: 0, ...options,
  });
  const messages = [];
  let waiting = null;
  c.on('message', (topic, payload, packet) => {
    const m = { topic, text: payload.toString(), payload, packet };
    if (waiting) waiting(m); else messages.push(m);
  });
  c.on('error', () => {});
  const connack = await within('CONNACK', (done) => c.once('connect', done));
  const next = async () => (messages.length ? messages.shift()
    : within('a message', (done) => { waiting = (m) => { waiting = null; done(m); }; }));
  return {
    c,
    present: connack.sessionPresent,
    properties: connack.properties || {},
    next,
    texts: async (n) => {
      const got = [];
      while (got.length < n) got.push((await next()).text);
      await sleep(150);
      assert.deepStrictEqual(messages.map((m) => m.text), [], 'more came');
      return got;
    },
    count: () => messages.length,
    subscribe: (topic, options) => c.subscribeAsync(topic, options || { qos: 2 }),
    publish: (topic, payload, options) => c.publishAsync(topic, payload, options || { qos: 1 }),
    end: () => c.endAsync(),
    drop: () => within('the end', (done) => { c.once('close', done); c.stream.destroy(); }),
  };
}

// A session that stays.
function keep(version, clientId, more) {
  return {
    clientId, clean: false, ...more,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
  };
}

const checks = {
  'QoS 0, 1 and 2, with payloads of every kind': async (version) => {
    const c = await connect(version);
    const d = await connect(version);
    const topic = fresh();
    const granted = await c.subscribe(`${topic}/#`);
    assert.strictEqual(granted[0].qos, 2);
    const big = Buffer.from(Array.from({ length: 300000 }, (_, i) => i % 256));
    for (const payload of [Buffer.from(''), Buffer.from('grüße, 日本'), big]) {
      for (const qos of [0, 1, 2]) {
        await d.publish(`${topic}/é`, payload, { qos });
        const m = await c.next();
        assert.ok(m.payload.equals(payload), `${payload.length} bytes came otherwise`);
        assert.deepStrictEqual([m.topic, m.packet.qos, m.packet.retain, m.packet.dup],
          [`${topic}/é`, qos, false, false]);
      }
    }
    await Promise.all([c.end(), d.end()]);
  },
  'a thousand of QoS 2 at once come once, in order': async (version) => {
    const c = await connect(version);
    const d = await connect(version);
    const topic = fresh();
    await c.subscribe(topic);
    const n = 1000;
    const wanted = Array.from({ length: n }, (_, i) => String(i));
    for (let at = 0; at < n; at += 20) { // what a server has to take at once
      await Promise.all(wanted.slice(at, at + 20).map((text) => d.publish(topic, text, { qos: 2 })));
    }
    assert.deepStrictEqual(await c.texts(n), wanted);
    await Promise.all([c.end(), d.end()]);
  },
  'subscriptions: several, granted QoS, and the end of one': async (version) => {
    const c = await connect(version);
    const topic = fresh();
    const granted = await c.subscribe({
      [`${topic}/0`]: { qos: 0 }, [`${topic}/1`]: { qos: 1 }, [`${topic}/+/x`]: { qos: 2 },
    });
    assert.deepStrictEqual(granted.map((g) => g.qos), [0, 1, 2]);
    await c.c.unsubscribeAsync(`${topic}/1`);
    for (const end of ['0', '1', '1/x']) await c.publish(`${topic}/${end}`, end, { qos: 2 });
    assert.deepStrictEqual((await c.texts(2)).sort(), ['0', '1/x']);
    await c.end();
  },
  'retained messages are found and removed': async (version) => {
    const c = await connect(version);
    const topic = fresh();
    for (const qos of [0, 1, 2]) await c.publish(`${topic}/${qos}`, 'kept', { qos, retain: true });
    const d = await connect(version);
    await d.subscribe(`${topic}/+`);
    const got = [await d.next(), await d.next(), await d.next()];
    assert.deepStrictEqual(got.map((m) => [m.packet.qos, m.packet.retain]).sort(),
      [[0, true], [1, true], [2, true]]);
    for (const qos of [0, 1, 2]) await c.publish(`${topic}/${qos}`, '', { qos, retain: true });
    await d.texts(3);
    const e = await connect(version);
    await e.subscribe(`${topic}/+`);
    assert.deepStrictEqual(await e.texts(0), []);
    await Promise.all([c.end(), d.end(), e.end()]);
  },
  'a will comes when the network fails, not when the client goes': async (version) => {
    const watch = await connect(version);
    const topic = fresh();
    await watch.subscribe(topic);
    const will = { topic, payload: Buffer.from('gone'), qos: 2, retain: false };
    await (await connect(version, { will: { ...will, payload: Buffer.from('no') } })).end();
    await (await connect(version, { will })).drop();
    assert.deepStrictEqual(await watch.texts(1), ['gone']);
    await watch.end();
  },
  'a session that stays gets what it missed, once': async (version) => {
    const options = keep(version, fresh('c'));
    const topic = fresh();
    let c = await connect(version, options);
    assert.strictEqual(c.present, false);
    await c.subscribe(topic);
    await c.end();
    const d = await connect(version);
    for (let i = 0; i < 20; i += 1) await d.publish(topic, String(i), { qos: 2 });
    c = await connect(version, options);
    assert.strictEqual(c.present, true);
    assert.deepStrictEqual(await c.texts(20), Array.from({ length: 20 }, (_, i) => String(i)));
    await c.end();
    c = await connect(version, options);
    assert.deepStrictEqual(await c.texts(0), []);
    await Promise.all([c.end(), d.end()]);
  },
  'a client that reconnects by itself goes on where it was': async (version) => {
    const topic = fresh();
    const c = await connect(version, keep(version, fresh('c'),
      { reconnectPeriod: 100, resubscribe: false }));
    const d = await connect(version);
    await c.subscribe(topic);
    const again = within('CONNACK', (done) => c.c.once('connect', done));
    c.c.stream.destroy();
    await d.publish(topic, 'missed', { qos: 2 });
    assert.strictEqual((await again).sessionPresent, true);
    await d.publish(topic, 'seen', { qos: 2 });
    assert.deepStrictEqual(await c.texts(2), ['missed', 'seen']);
    await Promise.all([c.end(), d.end()]);
  },
  'an empty client id': async (version) => {
    const c = await connect(version, { clientId: '' });
    if (version === 5) assert.ok(c.properties.assignedClientIdentifier);
    const topic = fresh();
    await c.subscribe(topic);
    await c.publish(topic, 'x');
    assert.deepStrictEqual(await c.texts(1), ['x']);
    await c.end();
  },
  'keep alive keeps an idle connection': async (version) => {
    const c = await connect(version, { keepalive: 1 });
    let gone = false;
    c.c.on('close', () => { gone = true; });
    await sleep(4000);
    assert.strictEqual(gone, false);
    await c.end();
  },
  'a shared subscription is shared, in 5.0': async (version) => {
    if (version !== 5) return;
    const [one, two, d] = [await connect(5), await connect(5), await connect(5)];
    const topic = fresh();
    const group = fresh('g');
    for (const c of [one, two]) await c.subscribe(`$share/${group}/${topic}`);
    const n = 40;
    for (let i = 0; i < n; i += 1) await d.publish(topic, String(i), { qos: 2 });
    await within('all of them', (done) => {
      const look = () => (one.count() + two.count() >= n ? done() : setTimeout(look, 10));
      look();
    });
    const counts = [one.count(), two.count()];
    const got = [...await one.texts(counts[0]), ...await two.texts(counts[1])];
    assert.deepStrictEqual(got.map(Number).sort((a, b) => a - b),
      Array.from({ length: n }, (_, i) => i));
    assert.ok(Math.min(...counts) >= n / 8, counts);
    await Promise.all([one.end(), two.end(), d.end()]);
  },
  'properties come as they were sent, in 5.0': async (version) => {
    if (version !== 5) return;
    const c = await connect(5);
    const topic = fresh();
    await c.subscribe(topic, { qos: 2, properties: { subscriptionIdentifier: 77 } });
    const properties = {
      payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 're/sponse',
      correlationData: Buffer.from([0, 255]), userProperties: { b: ['1', '2'], a: '3' },
    };
    await c.publish(topic, 'x', { qos: 2, properties });
    const m = await c.next();
    assert.deepStrictEqual(JSON.parse(JSON.stringify(m.packet.properties)),
      JSON.parse(JSON.stringify({ ...properties, subscriptionIdentifier: 77 })));
    await c.end();
  },
  'topic aliases of the client and of the server, in 5.0': async (version) => {
    if (version !== 5) return;
    const c = await connect(5, { properties: { topicAliasMaximum: 3 } });
    const d = await connect(5, { autoAssignTopicAlias: true });
    const topic = fresh();
    await c.subscribe(`${topic}/#`);
    for (let i = 0; i < 30; i += 1) {
      await d.publish(`${topic}/${i % 7}`, `${topic}/${i % 7}`, { qos: i % 3 });
      const m = await c.next();
      assert.strictEqual(m.topic, m.text);
    }
    await Promise.all([c.end(), d.end()]);
  },
};

(async () => {
  for (const version of [4, 5]) {
    await Promise.all(Object.entries(checks).map(async ([name, check]) => {
      try {
        await check(version);
        console.log(`ok ${name} (${version})`);
      } catch (e) {
        console.log(`not ok ${name} (${version}): ${String(e.message).replace(/\n/g, ' ')}`);
      }
    }));
  }
  process.exit(0);
})().catch((e) => {
  console.log(`not ok: ${e.stack.replace(/\n/g, ' ')}`);
  process.exit(1);
});
