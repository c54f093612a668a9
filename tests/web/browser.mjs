// A browser for the tests of the pages, and the cases they consist of. Run by tests/it/web_pages.rs,
// which starts the brokers and tells all addresses in the environment:
//   BASE  the broker's HTTP address     TCP, WS, WS_MOSQUITTO  its listeners, and mosquitto's
//   MQTTX, CHROMIUM, PLAYWRIGHT  programs and library
// Each case has a page of its own. Whatever a page writes to its console as an error fails the case.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);

export const { BASE, TCP, WS, WS_MOSQUITTO } = process.env;

/** Longer than any step takes, also on a machine that is busy with other tests. */
export const PATIENCE_MS = 30000;

const cases = [];
const only = process.env.ONLY ?? "";

/** `options` are those of the browser's context: viewport, colorScheme … */
export function check(name, run, options = {}) {
  cases.push({ name, run, options });
}

export function assert(condition, what) {
  if (!condition) throw new Error(what);
}

export function same(found, wanted, what) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  assert(left === right, `${what}: ${left} where ${right} was wanted`);
}

/** Runs all cases; the exit status is the number of those that failed. */
export async function runCases() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  let failed = 0;
  for (const { name, run, options } of cases) {
    if (!only.split('|').some((words) => name.includes(words))) continue;
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const errors = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('dialog', (dialog) => errors.push(`a dialog: ${dialog.message()}`));
    try {
      await run(page, context, errors);
      same(errors, [], 'errors on the console');
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${error.stack}\n  console: ${errors.join('\n  ')}`);
    }
    for (const child of children.splice(0)) child.kill();
    await context.close();
  }
  await browser.close();
  process.exit(failed);
}

const children = [];

/** Starts `mqttx COMMAND` against the broker; lines() is what it has printed. */
export function mqttx(command, ...words) {
  const [host, port] = TCP.split(':');
  const child = spawn(process.env.MQTTX, [command, '-h', host, '-p', port, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let printed = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk) => { printed += chunk; });
  const ended = once(child, 'close');
  return {
    ended,
    lines: () => printed.split('\n').slice(0, -1),
    /** Waits until it has printed this. */
    async said(wanted) {
      while (!printed.includes(wanted)) {
        await Promise.race([once(child.stdout, 'data'), ended.then(() => assert(printed.includes(wanted), `not ${wanted} but ${printed}`))]);
      }
    },
  };
}

/** Publishes one message, and waits until the broker has it. */
export async function publish(topic, payload, ...words) {
  const pub = mqttx('pub', '-t', topic, ...(payload === '' ? ['-n'] : ['-m', payload]), '-q', '1', ...words);
  const [status] = await pub.ended;
  same(status, 0, 'status of mqttx pub');
}

/** Retains a message at each of these topics, over one connection; resolves when the broker has them. */
export async function retain(topics, payload) {
  const [host, port] = TCP.split(':');
  const socket = connect(Number(port), host);
  const text = (words) => {
    const bytes = Buffer.from(words);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  const packet = (first, ...parts) => {
    const body = Buffer.concat(parts);
    assert(body.length < 128, 'topics and payload fit into a short packet');
    return Buffer.concat([Buffer.from([first, body.length]), body]);
  };
  socket.write(packet(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0]), text('')));
  socket.write(Buffer.concat(topics.map((topic) => packet(0x31, text(topic), Buffer.from(payload)))));
  socket.write(Buffer.from([0xc0, 0]));
  let answer = Buffer.alloc(0);
  // CONNACK, and what answers the PINGREQ behind all of them.
  while (answer.length < 6) answer = Buffer.concat([answer, (await once(socket, 'data'))[0]]);
  socket.destroy();
}

/** A client that is there until the case ends; resolves when its SUBACK has come. */
export async function subscriber(id, filter, ...words) {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-web-'));
  const watcher = watch(folder);
  const sub = mqttx('sub', '-i', id, '-t', filter, '-v', '--ready-file', join(folder, 'ready'), ...words);
  while (!existsSync(join(folder, 'ready'))) await Promise.race([once(watcher, 'change'), sub.ended]);
  watcher.close();
  rmSync(folder, { recursive: true });
  return sub;
}

export const text = (page, selector) => page.locator(selector).innerText();

/** Texts of all rows in sight of a list. */
export const rows = (page, selector) => page.locator(`${selector} .line:not([hidden])`).allInnerTexts();
