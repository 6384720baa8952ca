// SPDX-License-Identifier: MIT
// amqplib against a broker: node amqplib_client.js URL MODULE; a line of result per check.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const amqp = require(process.argv[3]);

const url = process.argv[2];
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

async function connect(query) {
  const c = await amqp.connect(url + (query || ''));
  c.errors = [];
  c.on('error', (e) => c.errors.push(e));
  return c;
}

// A consumer whose messages queue up until asked for.
async function consume(ch, queue, options) {
  const messages = [];
  let waiting = null;
  const { consumerTag } = await ch.consume(queue, (m) => {
    if (waiting) waiting(m); else messages.push(m);
  }, options);
  return {
    consumerTag,
    messages,
    next: async () => (messages.length ? messages.shift()
      : within('a message', (done) => { waiting = (m) => { waiting = null; done(m); }; })),
  };
}

async function texts(box, n) {
  const got = [];
  while (got.length < n) got.push((await box.next()).content.toString());
  await sleep(150);
  assert.deepStrictEqual(box.messages.map((m) => m.content.toString()), [], 'more came');
  return got;
}

// The channel closes with that code.
async function refused(ch, code, action) {
  const error = new Promise((done) => { ch.once('error', done); });
  await assert.rejects(action, (e) => e.message.includes(String(code)) || assert.fail(e.message));
  assert.strictEqual((await error).code, code);
}

const checks = {
  'the server says what it can': async (c) => {
    const { capabilities } = c.connection.serverProperties;
    for (const name of ['publisher_confirms', 'exchange_exchange_bindings', 'basic.nack',
      'consumer_cancel_notify', 'connection.blocked', 'authentication_failure_close']) {
      assert.strictEqual(capabilities[name], true, name);
    }
  },
  'a wrong password is refused': async () => {
    await assert.rejects(amqp.connect(url.replace(/:[^:@]*@/, ':wrong@')),
      (e) => /403|ACCESS.REFUSED/.test(e.message) || assert.fail(e.message));
  },
  'a virtual host that is not there is refused': async () => {
    await assert.rejects(amqp.connect(url.replace(/\/[^/]*$/, '/nowhere')), /ConnectionClose/);
  },
  'assertQueue: by name, named by the server, with every option': async (c) => {
    const ch = await c.createChannel();
    const name = fresh();
    const options = {
      exclusive: true, durable: true, autoDelete: true, messageTtl: 60000, expires: 60000,
      deadLetterExchange: 'x', deadLetterRoutingKey: 'k', maxLength: 10, maxPriority: 5,
    };
    for (let i = 0; i < 2; i += 1) {
      assert.deepStrictEqual(await ch.assertQueue(name, options),
        { queue: name, messageCount: 0, consumerCount: 0 });
    }
    assert.match((await ch.assertQueue('', { exclusive: true })).queue, /^amq\.gen-/);
    await refused(ch, 406, () => ch.assertQueue(name, { ...options, maxLength: 11 }));
  },
  'checkQueue counts, and 404 closes the channel only': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    for (let i = 0; i < 3; i += 1) ch.sendToQueue(queue, Buffer.from(String(i)));
    await ch.waitForConfirms();
    assert.deepStrictEqual(await ch.checkQueue(queue),
      { queue, messageCount: 3, consumerCount: 0 });
    assert.deepStrictEqual(await ch.purgeQueue(queue), { messageCount: 3 });
    await refused(ch, 404, () => ch.checkQueue(fresh()));
    const next = await c.createChannel();
    await refused(next, 404, () => next.checkExchange(fresh('x')));
    assert.deepStrictEqual(c.errors, []);
  },
  'exchanges of every type, bound to queues and to each other': async (c) => {
    const ch = await c.createConfirmChannel();
    for (const type of ['direct', 'fanout', 'topic', 'headers']) {
      const inner = fresh('x');
      const outer = fresh('x');
      await ch.assertExchange(inner, type, { autoDelete: true, internal: true });
      await ch.assertExchange(outer, type, { autoDelete: true, durable: false });
      const { queue } = await ch.assertQueue('', { exclusive: true });
      const args = { 'x-match': 'any', a: 1 };
      await ch.bindQueue(queue, inner, 'k', args);
      await ch.bindExchange(inner, outer, 'k', args);
      ch.publish(outer, 'k', Buffer.from(type), { headers: { a: 1 } });
      await ch.waitForConfirms();
      assert.strictEqual((await ch.get(queue, { noAck: true })).content.toString(), type);
      await ch.unbindExchange(inner, outer, 'k', args);
      await ch.unbindQueue(queue, inner, 'k', args);
    }
  },
  'a confirm channel confirms every message, a nack is an error': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', {
      exclusive: true, maxLength: 500, arguments: { 'x-overflow': 'reject-publish' },
    });
    const answers = [];
    for (let i = 0; i < 500; i += 1) {
      ch.sendToQueue(queue, Buffer.from(String(i)), { persistent: true }, (e) => answers.push(e));
    }
    await ch.waitForConfirms();
    assert.deepStrictEqual(answers, new Array(500).fill(null));
    await assert.rejects(new Promise((done, fail) => {
      ch.sendToQueue(queue, Buffer.from('too many'), {}, (e) => (e ? fail(e) : done()));
    }), /nack/);
  },
  'properties, headers and every byte come back': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    const options = {
      contentType: 'application/octet-stream', contentEncoding: 'identity', persistent: true,
      priority: 3, correlationId: 'c', replyTo: 'r', expiration: 60000, messageId: 'm',
      timestamp: 1700000000, type: 't', appId: 'a',
      headers: {
        text: 'grüße', int: 7, negative: -3, big: 2 ** 40, float: 0.5, yes: true, none: null,
        list: [1, 'two', [true]], table: { deep: { er: 1 } }, bytes: Buffer.from([0, 255]),
      },
    };
    const body = Buffer.from(Array.from({ length: 200000 }, (_, i) => i % 256));
    ch.sendToQueue(queue, body, options);
    await ch.waitForConfirms();
    const m = await ch.get(queue, { noAck: true });
    assert.ok(m.content.equals(body));
    const { persistent, ...rest } = options;
    const got = Object.fromEntries(Object.keys(rest).map((k) => [k, m.properties[k]]));
    assert.deepStrictEqual(got, { ...rest, expiration: '60000' });
    assert.strictEqual(m.properties.deliveryMode, 2);
    assert.strictEqual(await ch.get(queue), false);
  },
  'what no queue takes is returned before its confirm': async (c) => {
    const ch = await c.createConfirmChannel();
    const seen = [];
    ch.on('return', (m) => seen.push(`${m.fields.replyCode} ${m.content}`));
    await new Promise((done) => {
      ch.publish('', fresh(), Buffer.from('lost'), { mandatory: true }, () => {
        seen.push('confirmed');
        done();
      });
    });
    assert.deepStrictEqual(seen, ['312 lost', 'confirmed']);
  },
  'prefetch, ack, ackAll, nack and nackAll': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    const put = async (all) => {
      for (const text of all) ch.sendToQueue(queue, Buffer.from(text));
      await ch.waitForConfirms();
    };
    await put('abcde');
    await ch.prefetch(3);
    const box = await consume(ch, queue);
    const got = [await box.next(), await box.next(), await box.next()];
    await sleep(150);
    assert.strictEqual(box.messages.length, 0);
    ch.ack(got[1]);
    ch.nack(got[0]);
    const more = [await box.next(), await box.next()];
    assert.deepStrictEqual(more.map((m) => [m.content.toString(), m.fields.redelivered]).sort(),
      [['a', true], ['d', false]]);
    ch.nack(got[2], false, false);
    assert.deepStrictEqual(await texts(box, 1), ['e']);
    ch.ackAll();
    await put('fg');
    assert.deepStrictEqual(await texts(box, 2), ['f', 'g']);
    await ch.cancel(box.consumerTag);
    ch.nackAll();
    assert.strictEqual((await ch.checkQueue(queue)).messageCount, 2);
  },
  'prefetch of a whole channel': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    for (const text of 'abc') ch.sendToQueue(queue, Buffer.from(text));
    await ch.waitForConfirms();
    await ch.prefetch(2, true);
    const boxes = [await consume(ch, queue), await consume(ch, queue)];
    await sleep(200);
    assert.strictEqual(boxes[0].messages.length + boxes[1].messages.length, 2);
  },
  'recover brings back what is unacked': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    ch.sendToQueue(queue, Buffer.from('x'));
    const box = await consume(ch, queue);
    await box.next();
    await ch.recover();
    assert.strictEqual((await box.next()).fields.redelivered, true);
  },
  'a consumer is told with null that its queue is deleted': async (c) => {
    const ch = await c.createChannel();
    const { queue } = await ch.assertQueue(fresh(), { exclusive: true });
    const box = await consume(ch, queue);
    assert.deepStrictEqual(await ch.deleteQueue(queue), { messageCount: 0 });
    assert.strictEqual(await box.next(), null);
  },
  'an ack that was given before closes the channel with 406': async (c) => {
    const ch = await c.createChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    ch.sendToQueue(queue, Buffer.from('x'));
    const m = await (await consume(ch, queue)).next();
    const error = within('the error', (done) => ch.once('error', done));
    ch.ack(m);
    ch.ack(m);
    assert.strictEqual((await error).code, 406);
  },
  'a question and its answer by amq.rabbitmq.reply-to': async (c) => {
    const service = await c.createChannel();
    const { queue } = await service.assertQueue('', { exclusive: true });
    await service.consume(queue, (m) => service.sendToQueue(m.properties.replyTo,
      Buffer.from(`re: ${m.content}`), { correlationId: m.properties.correlationId }),
    { noAck: true });
    const ch = await c.createChannel();
    const box = await consume(ch, 'amq.rabbitmq.reply-to', { noAck: true });
    ch.sendToQueue(queue, Buffer.from('hello'),
      { replyTo: 'amq.rabbitmq.reply-to', correlationId: '1' });
    const m = await box.next();
    assert.strictEqual(`${m.content} ${m.properties.correlationId}`, 're: hello 1');
  },
  'a body of 5 MB': async (c) => {
    const ch = await c.createConfirmChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    const body = crypto.randomBytes(5 << 20);
    ch.sendToQueue(queue, body);
    await ch.waitForConfirms();
    assert.ok((await (await consume(ch, queue)).next()).content.equals(body));
  },
  'twenty thousand messages in order': async (c) => {
    const ch = await c.createChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    const n = 20000;
    const got = [];
    const all = within('all of them', (done) => {
      ch.prefetch(200);
      ch.consume(queue, (m) => {
        ch.ack(m);
        got.push(Number(m.content));
        if (got.length === n) done();
      });
    });
    const out = await c.createChannel();
    for (let i = 0; i < n; i += 1) {
      if (!out.sendToQueue(queue, Buffer.from(String(i)))) {
        await new Promise((done) => { out.once('drain', done); });
      }
    }
    await all;
    assert.ok(got.every((value, i) => value === i));
  },
  'heart-beats keep an idle connection, and blocked can be listened for': async () => {
    const c = await connect('?heartbeat=1');
    let gone = false;
    c.on('close', () => { gone = true; });
    c.on('blocked', () => { gone = 'blocked'; });
    c.on('unblocked', () => {});
    await sleep(3200);
    assert.strictEqual(gone, false);
    assert.deepStrictEqual(c.errors, []);
    await c.close();
  },
  'closing a connection is answered, with messages unacked': async () => {
    const c = await connect();
    const ch = await c.createChannel();
    const { queue } = await ch.assertQueue(fresh(), { autoDelete: true, durable: false });
    ch.sendToQueue(queue, Buffer.from('x'));
    await (await consume(ch, queue)).next();
    await within('close-ok', (done) => { c.close().then(done); });
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    const c = await connect();
    try {
      await check(c);
      assert.deepStrictEqual(c.errors, []);
      await within('close-ok', (done) => { c.close().then(done); });
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`not ok ${name}: ${String(e.message).replace(/\n/g, ' ')}`);
    }
  }
  process.exit(0);
})().catch((e) => {
  console.log(`not ok: ${e.stack.replace(/\n/g, ' ')}`);
  process.exit(1);
});
