// The modules of the pages by themselves: packets as bytes, payloads as text, links, topics. They run
// in the browser, where they belong, without a connection.

import { BASE, check, runCases, same } from './browser.mjs';

/** Calls `run(module)` in the page, with a module of the pages. */
async function within(page, name, run) {
  await page.goto(`${BASE}/client`);
  const module = await page.evaluateHandle((path) => import(path), `/assets/${name}.js`);
  return module.evaluate(run);
}

check('packets are the bytes of the standard', async (page) => {
  const found = await within(page, 'wire', ({ encode }) => {
    const hex = (packet, version) => Array.from(encode(packet, version), (byte) => byte.toString(16).padStart(2, '0')).join('');
    const payload = new TextEncoder().encode('hi');
    const connect = { type: 'connect', clientId: 'c', keepAlive: 60, cleanStart: true, username: 'u', password: 'p' };
    return [
      hex(connect, 4),
      hex({ ...connect, username: undefined, password: undefined, will: { topic: 'w', payload, qos: 1, retain: true, properties: { willDelayInterval: 5 } }, properties: { sessionExpiryInterval: 1 } }, 5),
      hex({ type: 'publish', topic: 'a', payload, qos: 0, retain: true }, 4),
      hex({ type: 'publish', topic: 'a', payload, qos: 2, dup: true, id: 258, properties: { userProperty: [['k', 'v'], ['k', 'w']], contentType: 't' } }, 5),
      hex({ type: 'subscribe', id: 1, filters: [{ filter: 'a/#', qos: 1, noLocal: true, retainHandling: 2 }] }, 5),
      hex({ type: 'unsubscribe', id: 2, filters: ['a'] }, 4),
      hex({ type: 'pubrel', id: 3 }, 4),
      hex({ type: 'pubrel', id: 3, reason: 0x92 }, 5),
      hex({ type: 'pingreq' }, 5),
      hex({ type: 'disconnect' }, 5),
    ];
  });
  same(found, [
    '101300044d51545404c2003c' + '000163' + '000175' + '000170',
    '102000044d515454052e003c' + '051100000001' + '000163' + '051800000005' + '000177' + '00026869',
    '3105000161' + '6869',
    '3c1a0001610102' + '12' + '2600016b000176' + '2600016b000177' + '03000174' + '6869',
    '82090001' + '00' + '0003612f23' + '25',
    'a2050002000161',
    '62020003',
    '6203000392',
    'c000',
    'e000',
  ], 'packets');
});

check('a stream is cut into packets wherever it was broken', async (page) => {
  const found = await within(page, 'wire', ({ Frames, decode, encode }) => {
    const payload = new Uint8Array(300).fill(7);
    const packets = [0, 1, 2].map((qos) => encode({ type: 'publish', topic: `t/${qos}`, payload, qos, id: 9 }, 5));
    const whole = new Uint8Array(packets.flatMap((packet) => [...packet]));
    const results = [];
    for (const step of [1, 2, 3, 100, 301, 5000]) {
      const frames = new Frames(1000);
      const seen = [];
      for (let at = 0; at < whole.length; at += step) {
        frames.push(whole.slice(at, at + step), (first, body) => {
          const packet = decode(first, body, 5);
          seen.push(`${packet.topic} ${packet.qos} ${packet.payload.length}`);
        });
      }
      results.push(seen.join());
    }
    return [...new Set(results)];
  });
  same(found, ['t/0 0 300,t/1 1 300,t/2 2 300'], 'packets in pieces of each size');
});

check('what no broker may send is refused', async (page) => {
  const found = await within(page, 'wire', ({ Frames, Malformed, decode }) => {
    const frames = [
      [0x36, 5, 0, 1, 97, 0, 1], [0x30, 1, 0], [0x30, 4, 0, 2, 0xc3, 0x28], [0x10, 0], [0x20, 1, 0], [0x40, 1, 0],
      [0x30, 0xff, 0xff, 0xff, 0xff, 1], [0x30, 0xff, 0xff, 0x7f], [0x30, 5, 0, 1, 97, 1, 99], [0x30, 5, 0, 1, 97, 9, 1],
    ];
    return frames.map((bytes) => {
      try {
        new Frames(10000).push(new Uint8Array(bytes), (first, body) => decode(first, body, 5));
        return 'taken';
      } catch (error) {
        return error instanceof Malformed ? 'refused' : String(error);
      }
    });
  });
  same(found, Array(10).fill('refused'), 'packets that are broken');
});

check('payloads are shown as what they are', async (page) => {
  const found = await within(page, 'payload', ({ preview, shown }) => {
    const bytes = (text) => new TextEncoder().encode(text);
    const of = (given, size) => {
      const { kind, text } = shown(given, size);
      return [kind, text];
    };
    return [
      of(bytes('21.5')), of(bytes('{"b":[1,{}],"a":12345678901234567890,"b":"x: [1,2]"}')), of(bytes('{broken')), of(new Uint8Array([0, 255])),
      of(new Uint8Array(0)), of(bytes('a\u202eb')), of(bytes('tab\tline\n')), of(bytes('nul\u0000')), preview(bytes('ä'.repeat(200))).length,
      preview(new Uint8Array(100).fill(1)).slice(-5), of(bytes('aä').subarray(0, 2), 3),
    ];
  });
  same(found, [
    ['text', '21.5'], ['json', '{\n  "b": [\n    1,\n    {}\n  ],\n  "a": 12345678901234567890,\n  "b": "x: [1,2]"\n}'], ['text', '{broken'],
    ['hex', `0000  00 ff${' '.repeat(44)}..`], ['empty', ''], ['text', 'a\u2423202e\u2423b'], ['text', 'tab\tline\n'],
    ['hex', `0000  6e 75 6c 00${' '.repeat(38)}nul.`], 122, ' 01 …', ['text', 'a'],
  ], 'payloads');
});

check('what is typed becomes the bytes that are meant', async (page) => {
  const found = await within(page, 'payload', ({ typed }) => {
    const given = [['ä', 'text'], ['00 fF:7e', 'hex'], ['AAEC', 'base64'], ['[1]', 'json'], ['0', 'hex'], ['zz', 'hex'], ['*', 'base64'], ['{', 'json']];
    return given.map(([text, format]) => {
      try {
        return [...typed(text, format)];
      } catch (error) {
        return error.message.split(':')[0];
      }
    });
  });
  const pairs = 'Hexadecimal needs pairs of the digits 0 to 9 and a to f.';
  same(found, [[195, 164], [0, 255, 126], [0, 1, 2], [91, 49, 93], pairs, pairs, 'That is no base64.', 'That is no JSON'], 'bytes');
});

check('filters fit the topics that the standard says', async (page) => {
  const found = await within(page, 'topic', ({ filterProblem, matches }) => [
    ['a/#', 'a'], ['a/#', 'a/b/c'], ['a/+', 'a/b'], ['+/b', 'a/b'], ['#', 'a/b'], ['/+', '/a'], ['$SYS/#', '$SYS/x'], ['$share/g/a/+', 'a/b'], ['a//b', 'a//b'],
    ['a/+', 'a'], ['a/+', 'a/b/c'], ['#', '$SYS/x'], ['+/x', '$SYS/x'], ['a', 'b'], ['a/b', 'a'],
  ].map(([filter, topic]) => matches(filter, topic)).concat(
    ['a', '+', '#', 'a/+/#', '$share/g/a'].map((filter) => filterProblem(filter) === undefined),
    ['', 'a#', 'a/#/b', 'a+', '$share/g', '$share//a', '$share/+/a'].map((filter) => filterProblem(filter) !== undefined),
  ));
  same(found, [...Array(9).fill(true), ...Array(6).fill(false), ...Array(12).fill(true)], 'which fit');
});

check('figures are written as people read them', async (page) => {
  const found = await within(page, 'format', ({ bytes, duration, rate, short }) => [
    short(950), short(12345), short(1234567), bytes(999), bytes(1000), bytes(123456), bytes(999999), rate(0), rate(0.01), rate(1.25), rate(50000),
    duration(59), duration(3600), duration(90061),
  ]);
  same(found, ['950', '12.3 k', '1.2 M', '999 B', '1 kB', '123 kB', '1 MB', '0/s', '<0.1/s', '1.3/s', '50 k/s', '59 s', '1 h 0 min', '1 d 1 h'], 'figures');
});

check('messages are kept within bounds, the newest of them', async (page) => {
  const found = await within(page, 'messages', ({ MESSAGES_MAX, Messages, testOf }) => {
    const messages = new Messages();
    messages.filter(testOf({ words: 'even', kind: 'received' }));
    const payload = new TextEncoder().encode('x');
    for (let at = 0; at < 3 * MESSAGES_MAX; at++) messages.add({ topic: `${at % 2 ? 'odd' : 'even'}/${at}`, payload, colour: null, sent: at % 4 === 0 });
    const topics = messages.fitting.map(({ topic }) => topic);
    const bounded = messages.length <= MESSAGES_MAX && messages.length + messages.forgotten === 3 * MESSAGES_MAX;
    for (let at = 0; at < 200; at++) messages.add({ topic: 'big', payload: new Uint8Array(1 << 20), colour: null });
    return [bounded, topics.at(-1), topics.every((topic) => topic.startsWith('even')), messages.length < 60];
  });
  same(found, [true, 'even/29998', true, true], 'what is kept');
});

runCases();
