// How the dashboard feels with 10,000 clients, 100,000 topics and 5,000 messages a second: longest
// tasks of its thread, and first paint. Not in the gate, since figures are no verdict; the environment is
// that of browser.mjs:
//   BASE=http://127.0.0.1:8080 TCP=127.0.0.1:1883 CHROMIUM=… PLAYWRIGHT=… node tests/web/fluent.mjs

import { once } from 'node:events';
import { connect } from 'node:net';

import { BASE, TCP, assert, check, retain, runCases } from './browser.mjs';

const CLIENTS = 10000;
const TOPICS = 100000;
const [HOST, PORT] = TCP.split(':');

/** A connection whose CONNACK has come. */
async function client(id) {
  const socket = connect(Number(PORT), HOST);
  const body = Buffer.concat([Buffer.from([0, 4]), Buffer.from('MQTT'), Buffer.from([4, 2, 0, 0, 0, id.length]), Buffer.from(id)]);
  socket.write(Buffer.concat([Buffer.from([0x10, body.length]), body]));
  await once(socket, 'data');
  return socket;
}

const topic = (at) => `site/${at % 50}/room${at % 2000}/value${Math.floor(at / 2000)}`;

/** All that is there before somebody looks. */
async function fill() {
  const sockets = [];
  for (let at = 0; at < CLIENTS; at += 100) {
    sockets.push(...await Promise.all(Array.from({ length: 100 }, (_, more) => client(`client-${at + more}`))));
  }
  for (let at = 0; at < TOPICS; at += 10000) {
    await retain(Array.from({ length: 10000 }, (_, more) => topic(at + more)), '21.5');
  }
  // A hundred packets every 20 ms.
  const packet = (name) => Buffer.concat([Buffer.from([0x30, name.length + 6, 0, name.length]), Buffer.from(name), Buffer.from('19.5')]);
  let next = 0;
  setInterval(() => {
    sockets[0].write(Buffer.concat(Array.from({ length: 100 }, () => packet(topic(next++ % TOPICS)))));
  }, 20);
}

/** The tasks that kept the page from answering while `doing` went on: by the clock, which others on the
 * machine slow down, and by their own CPU. */
async function stalls(page, what, doing) {
  const browser = page.context().browser();
  await page.evaluate(() => { window.stalls.length = 0; });
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
  await doing();
  const events = JSON.parse(await browser.stopTracing()).traceEvents;
  const thread = ({ pid, tid }) => `${pid} ${tid}`;
  const pages = new Set(events.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain').map(thread));
  const tasks = events.filter((event) => event.name.endsWith('RunTask') && event.tdur !== undefined && pages.has(thread(event)));
  assert(tasks.length > 0, 'no task was seen');
  const cpu = Math.max(...tasks.map((event) => event.tdur)) / 1000;
  const found = await page.evaluate(() => window.stalls);
  console.log(`${what}: longest task ${cpu.toFixed(0)} ms of CPU; ${found.length} above 50 ms by the clock, ${Math.round(Math.max(0, ...found))} ms at most`);
}

check('the dashboard of many', async (page) => {
  await fill();
  await page.addInitScript(() => {
    window.stalls = [];
    new PerformanceObserver((list) => window.stalls.push(...list.getEntries().map((entry) => entry.duration)))
      .observe({ type: 'longtask', buffered: true });
  });
  await page.goto(BASE);
  await page.locator('#link-dot.good').waitFor();
  const paints = [];
  for (let at = 0; at < 9; at++) {
    await page.reload();
    await page.locator('#link-dot.good').waitFor();
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
  }
  paints.sort((left, right) => left - right);
  console.log(`first contentful paint: median ${Math.round(paints[4])} ms, worst ${Math.round(paints[8])} ms`);
  const scroll = async (box) => {
    for (let at = 0; at < 40; at++) {
      await box.evaluate((list) => { list.scrollTop += list.scrollHeight / 45; });
      await page.waitForTimeout(50);
    }
  };
  await stalls(page, 'overview, 10 s', () => page.waitForTimeout(10000));
  await stalls(page, 'clients, opened', async () => {
    await page.goto(`${BASE}/#/clients`);
    await page.locator('.line', { hasText: 'client-' }).first().waitFor();
  });
  await stalls(page, 'clients, scrolled', () => scroll(page.locator('.list:visible, [role=listbox]:visible, [role=grid]:visible, [role=table]:visible').first()));
  await stalls(page, 'topics, opened', async () => {
    await page.goto(`${BASE}/#/topics`);
    await page.locator('[role=tree] .line', { hasText: 'site' }).first().waitFor();
  });
  const row = (text) => page.locator('[role=tree] .line').filter({ has: page.locator(`.level > .mono:text-is("${text}")`) });
  await stalls(page, 'topics, levels opened', async () => {
    for (const level of ['site', '0', 'room0']) await row(level).first().locator('.twist').click();
    await row('value0').first().waitFor();
  });
  await stalls(page, 'topics, scrolled', () => scroll(page.locator('[role=tree]')));
  await stalls(page, 'topics, searched', async () => {
    await page.getByLabel('Search topics').pressSequentially('value4', { delay: 80 });
    await page.locator('footer [role=status]', { hasText: 'found' }).waitFor();
    await page.waitForTimeout(5000);
  });
  assert(paints.length === 9, 'paints');
});

runCases();
