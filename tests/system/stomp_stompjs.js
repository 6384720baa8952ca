// SPDX-License-Identifier: MIT
// @stomp/stompjs against a daemon: node stomp_stompjs.js PORT|URL; a line of result per check.
// The library speaks to a WebSocket: what it uses of one is put over a TCP socket here, if there
// is only a port.
'use strict';
const assert = require('assert');
const net = require('net');
const { Client, Versions } = require('@stomp/stompjs');

const url = process.argv[2].includes(':') ? process.argv[2] : null;
const port = Number(process.argv[2]);
const patience = 10000;

class Wire {
  constructor() {
    this.readyState = 0;
    this.url = `tcp://127.0.0.1:${port}`;
    this.socket = net.connect(port, '127.0.0.1', () => {
      this.readyState = 1;
      this.onopen({});
    });
    this.socket.setNoDelay(true);
    this.socket.on('data', (data) => {
      const copy = new Uint8Array(data);
      this.onmessage({ data: copy.buffer });
    });
    this.socket.on('error', (e) => this.onerror && this.onerror(e));
    this.socket.on('close', () => {
      this.readyState = 3;
      this.onclose({ code: 1000, reason: '', wasClean: true });
    });
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? data : Buffer.from(data));
  }

  close() {
    this.readyState = 2;
    this.socket.end();
  }
}

function within(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience);
    start((value) => { clearTimeout(timer); resolve(value); });
  });
}

// A connected client whose messages queue up until asked for.
async function connect(options) {
  const client = new Client({
    webSocketFactory: () => (url ? new (require('ws'))(url, Versions.default.protocolVersions()) : new Wire()),
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    connectHeaders: { login: 'guest', passcode: 'guest', host: '/' },
    ...options,
  });
  client.errors = [];
  client.onStompError = (frame) => client.errors.push(frame);
  await within('CONNECTED', (done) => { client.onConnect = done; client.activate(); });
  client.receipts = 0;
  client.receipt = (give) => within('a receipt', (done) => {
    client.receipts += 1;
    const id = `receipt-${client.receipts}`;
    client.watchForReceipt(id, done);
    give(id);
  });
  client.put = (destination, body, headers) => client.receipt((receipt) => client.publish({
    destination,
    headers: { receipt, ...headers },
    ...(typeof body === 'string' ? { body } : { binaryBody: body }),
  }));
  client.inbox = (destination, headers) => {
    const messages = [];
    let waiting = null;
    const subscription = client.subscribe(destination, (message) => {
      if (waiting) waiting(message); else messages.push(message);
    }, headers);
    return {
      unsubscribe: (more) => subscription.unsubscribe(more),
      next: async () => (messages.length ? messages.shift()
        : within('a message', (done) => { waiting = (m) => { waiting = null; done(m); }; })),
    };
  };
  return client;
}

const checks = {
  'a text comes back': async () => {
    const c = await connect();
    // Not \c: the client would take the c of an escaped backslash for a colon.
    const headers = { 'content-type': 'text/plain', colour: 'a:b\\d' };
    await c.put('/queue/js-text', 'grüße 日本', headers);
    const m = await c.inbox('/queue/js-text').next();
    assert.strictEqual(m.body, 'grüße 日本');
    assert.strictEqual(m.headers.colour, 'a:b\\d');
    assert.strictEqual(m.headers['content-type'], 'text/plain');
    await c.deactivate();
  },
  'a text without a content-length comes back': async () => {
    const c = await connect();
    c.publish({ destination: '/queue/js-short', body: 'short', skipContentLengthHeader: true });
    assert.strictEqual((await c.inbox('/queue/js-short').next()).body, 'short');
    await c.deactivate();
  },
  'binary bodies come back': async () => {
    const c = await connect();
    const body = Uint8Array.from({ length: 100000 }, (_, i) => i % 256);
    await c.put('/queue/js-binary', body);
    const m = await c.inbox('/queue/js-binary').next();
    assert.deepStrictEqual(Buffer.from(m.binaryBody), Buffer.from(body));
    await c.deactivate();
  },
  'acks and nacks': async () => {
    const c = await connect();
    for (const body of ['1', '2', '3']) await c.put('/queue/js-ack', body);
    const inbox = c.inbox('/queue/js-ack', { ack: 'client-individual', id: 'js' });
    const one = await inbox.next();
    const two = await inbox.next();
    const three = await inbox.next();
    two.nack();
    const again = await inbox.next();
    assert.strictEqual(again.body, '2');
    assert.strictEqual(again.headers.redelivered, 'true');
    one.ack();
    again.ack();
    await c.receipt((receipt) => three.ack({ receipt }));
    await c.deactivate();
    const d = await connect();
    await d.put('/queue/js-ack', 'last');
    assert.strictEqual((await d.inbox('/queue/js-ack').next()).body, 'last');
    await d.deactivate();
  },
  'transactions': async () => {
    const c = await connect();
    const inbox = c.inbox('/queue/js-tx');
    const aborted = c.begin();
    c.publish({ destination: '/queue/js-tx', body: 'never', headers: { transaction: aborted.id } });
    aborted.abort();
    const tx = c.begin();
    c.publish({ destination: '/queue/js-tx', body: 'one', headers: { transaction: tx.id } });
    c.publish({ destination: '/queue/js-tx', body: 'two', headers: { transaction: tx.id } });
    tx.commit();
    assert.strictEqual((await inbox.next()).body, 'one');
    assert.strictEqual((await inbox.next()).body, 'two');
    await c.deactivate();
  },
  'topics, and a temporary queue for the reply': async () => {
    const c = await connect();
    const service = await connect();
    const requests = service.inbox('/topic/js.*', { receipt: 'js-subscribed' });
    await within('the subscription', (done) => service.watchForReceipt('js-subscribed', done));
    const reply = within('the reply', (done) => { c.onUnhandledMessage = done; });
    c.publish({
      destination: '/topic/js.ask', body: 'ask', headers: { 'reply-to': '/temp-queue/me' },
    });
    const request = await requests.next();
    service.publish({ destination: request.headers['reply-to'], body: 'answer' });
    const answer = await reply;
    assert.strictEqual(answer.body, 'answer');
    assert.strictEqual(answer.headers.subscription, '/temp-queue/me');
    await c.deactivate();
    await service.deactivate();
  },
  'heart-beats keep an idle connection': async () => {
    const c = await connect({ heartbeatIncoming: 200, heartbeatOutgoing: 200 });
    let closed = false;
    c.onWebSocketClose = () => { closed = true; };
    await new Promise((done) => setTimeout(done, 1500));
    assert.strictEqual(closed, false);
    await c.deactivate();
  },
  'an ERROR is told': async () => {
    const c = await connect();
    c.publish({ destination: '/nowhere/at/all', body: 'x', headers: { receipt: 'bad' } });
    await within('the ERROR', (done) => { c.onStompError = done; })
      .then((frame) => assert.strictEqual(frame.headers['receipt-id'], 'bad'));
    await c.deactivate();
  },
  'all three versions': async () => {
    for (const version of ['1.0', '1.1', '1.2']) {
      const c = await connect({ stompVersions: new Versions([version]) });
      assert.strictEqual(c.connectedVersion, version);
      const inbox = c.inbox(`/queue/js-${version}`, { ack: 'client' });
      c.publish({ destination: `/queue/js-${version}`, body: version });
      (await inbox.next()).ack();
      await c.deactivate();
      assert.deepStrictEqual(c.errors, []);
    }
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`not ok ${name}: ${String(e.message).replace(/\n/g, ' ')}`);
    }
  }
  process.exit(0);
})();
