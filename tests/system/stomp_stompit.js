// SPDX-License-Identifier: MIT
// stompit against a daemon: node stomp_stompit.js PORT; a line of result per check.
'use strict';
const assert = require('assert');
const stompit = require('stompit');

const port = Number(process.argv[2]);
const options = {
  host: '127.0.0.1',
  port,
  connectHeaders: { host: '/', login: 'guest', passcode: 'guest', 'heart-beat': '200,200' },
};

function connect() {
  return new Promise((resolve, reject) => {
    stompit.connect(options, (error, client) => (error ? reject(error) : resolve(client)));
  });
}

function put(client, headers, body) {
  return new Promise((resolve, reject) => {
    const frame = client.send(headers, { onReceipt: resolve, onError: reject });
    frame.write(body);
    frame.end();
  });
}

// The body of each message, as they come, to `each(body, message)` until it gives true.
function take(client, headers, each) {
  return new Promise((resolve, reject) => {
    const subscription = client.subscribe(headers, (error, message) => {
      if (error) { reject(error); return; }
      const chunks = [];
      message.on('data', (chunk) => chunks.push(chunk));
      message.on('end', () => {
        if (each(Buffer.concat(chunks), message)) { subscription.unsubscribe(); resolve(message); }
      });
      message.on('error', reject);
    });
  });
}

function leave(client) {
  return new Promise((resolve, reject) => {
    client.disconnect((error) => (error ? reject(error) : resolve()));
  });
}

const checks = {
  'a message comes back with its headers': async () => {
    const c = await connect();
    const headers = { destination: '/queue/it-text', 'x-note': 'a:b\\c\nd', 'content-length': 5 };
    await put(c, headers, 'hello');
    const m = await take(c, { destination: '/queue/it-text', ack: 'auto' },
      (body) => body.toString() === 'hello');
    assert.strictEqual(m.headers['x-note'], 'a:b\\c\nd');
    await leave(c);
  },
  'a body without a length streams': async () => {
    const c = await connect();
    const body = Buffer.alloc(300000, 'x');
    await put(c, { destination: '/queue/it-stream' }, body);
    await take(c, { destination: '/queue/it-stream', ack: 'auto' }, (got) => got.equals(body));
    await leave(c);
  },
  'acks are individual, and a nack returns': async () => {
    const c = await connect();
    const seen = [];
    await put(c, { destination: '/queue/it-ack' }, 'a');
    await put(c, { destination: '/queue/it-ack' }, 'b');
    await take(c, { destination: '/queue/it-ack', ack: 'client-individual' }, (body, m) => {
      seen.push(`${body}${m.headers.redelivered ? '!' : ''}`);
      if (seen.length === 1) c.nack(m); else c.ack(m);
      return seen.length === 3;
    });
    assert.deepStrictEqual(seen.sort(), ['a', 'a!', 'b']);
    await leave(c);
  },
  'a transaction commits and aborts': async () => {
    const c = await connect();
    const aborted = c.begin();
    aborted.send({ destination: '/queue/it-tx' }).end('never');
    aborted.abort();
    const tx = c.begin();
    tx.send({ destination: '/queue/it-tx' }).end('one');
    tx.send({ destination: '/queue/it-tx' }).end('two');
    await new Promise((resolve) => { tx.commit({ onReceipt: resolve }); });
    const bodies = [];
    await take(c, { destination: '/queue/it-tx', ack: 'auto' },
      (body) => bodies.push(String(body)) === 2);
    assert.deepStrictEqual(bodies, ['one', 'two']);
    await leave(c);
  },
  'heart-beats keep an idle connection': async () => {
    const c = await connect();
    let failed = null;
    c.on('error', (error) => { failed = error; });
    await new Promise((done) => { setTimeout(done, 1500); });
    assert.strictEqual(failed, null);
    await leave(c);
  },
  'an ERROR is told': async () => {
    const c = await connect();
    const error = await new Promise((resolve) => {
      // The client tells the ERROR by destroying the stream of its body, where nobody can listen.
      process.on('uncaughtException', resolve);
      c.on('error', () => {});
      c.send({ destination: '/nowhere/at/all' }).end('x');
    });
    assert.match(String(error.message), /destination/i);
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    const timeout = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('waited in vain')), 10000);
    });
    try {
      await Promise.race([check(), timeout]);
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`not ok ${name}: ${String(e.message).replace(/\n/g, ' ')}`);
    }
  }
  process.exit(0);
})();
