// The browser client, against our broker and mosquitto, in both versions and at every QoS.

import { BASE, WS, WS_MOSQUITTO, assert, check, publish, runCases, same, subscriber, text } from './browser.mjs';

const brokers = [['mqttx', WS]];
if (WS_MOSQUITTO) brokers.push(['mosquitto', WS_MOSQUITTO]);

async function connect(page, url, version, more = async () => {}) {
  await page.goto(`${BASE}/client`);
  await page.locator('[name=url]').fill(url);
  await page.locator('[name=version]').selectOption(String(version));
  await more();
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
}

const connected = (page) => page.locator('#state', { hasText: /^Connected$/ }).waitFor();
const line = (page, words) => page.locator('.messages .line:not([hidden])', { hasText: words });

async function subscribe(page, filter, qos) {
  await page.getByLabel('Topic Filter').fill(filter);
  await page.locator('[name=filter-qos]').selectOption(String(qos));
  await page.getByRole('button', { name: 'Subscribe' }).click();
  await page.locator('.filters li', { hasText: filter }).locator(`text=QoS ${qos}`).waitFor();
}

async function send(page, topic, payload, qos, retain = false) {
  await page.locator('form.publish [name=topic]').fill(topic);
  await page.locator('[name=payload]').fill(payload);
  await page.locator('form.publish [name=qos]').selectOption(String(qos));
  await page.locator('form.publish [name=retain]').setChecked(retain);
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.locator('.publish [role=status]', { hasText: qos ? 'acknowledged' : 'Sent' }).waitFor();
}

for (const [name, url] of brokers) {
  for (const version of [4, 5]) {
    check(`messages of every QoS to ${name} and back, version ${version}`, async (page) => {
      await connect(page, url, version);
      await connected(page);
      const root = `round/${name}/${version}`;
      await subscribe(page, `${root}/#`, 2);
      for (const qos of [0, 1, 2]) {
        await send(page, `${root}/${qos}`, `number ${qos}`, qos);
        const back = line(page, `number ${qos}`).filter({ hasNotText: '\u2191' });
        await back.waitFor();
        same(await back.locator('.mark', { hasText: 'QoS' }).allInnerTexts(), qos ? [`QoS ${qos}`] : [], 'QoS it came with');
      }
      same(await line(page, root).count(), 6, 'messages, sent and received');
      await send(page, `${root}/kept`, 'kept', 1, true);
      await page.locator('.filters').getByRole('button', { name: 'Unsubscribe' }).click();
      await page.locator('.filters li').waitFor({ state: 'detached' });
      await subscribe(page, `${root}/kept`, 1);
      await line(page, 'retained').filter({ hasNotText: '\u2191' }).waitFor();
      await send(page, `${root}/kept`, '', 1, true);
    });

    check(`a will is published by ${name} when the page vanishes, version ${version}`, async (page, context) => {
      const root = `will/${name}/${version}`;
      const other = await context.newPage();
      await connect(other, url, version);
      await connected(other);
      await subscribe(other, `${root}/#`, 1);
      await connect(page, url, version, async () => {
        await page.locator('summary', { hasText: 'Will' }).click();
        await page.locator('[name=willTopic]').fill(`${root}/gone`);
        await page.locator('[name=willPayload]').fill('vanished');
      });
      await connected(page);
      await page.close();
      await line(other, 'vanished').waitFor();
    });
  }
}

check('messages go between it and our own clients', async (page) => {
  const sub = await subscriber('native', 'native/from', '-q', '2');
  await connect(page, WS, 5);
  await connected(page);
  await subscribe(page, 'native/to', 1);
  await publish('native/to', 'from a shell');
  await line(page, 'from a shell').waitFor();
  await send(page, 'native/from', 'from a page', 2);
  await sub.said('native/from from a page');
});

check('what goes wrong is told in words', async (page) => {
  await connect(page, 'http://127.0.0.1/', 5);
  await page.locator('#problem', { hasText: 'ws:// or wss://' }).waitFor();
  await connect(page, 'nonsense', 5);
  await page.locator('#problem', { hasText: 'no address' }).waitFor();
  await connect(page, WS, 4, () => page.locator('[name=password]').fill('x'));
  await page.locator('#problem', { hasText: 'no password without a user' }).waitFor();
  await connect(page, WS, 5);
  await connected(page);
  await page.getByLabel('Topic Filter').fill('a/#/b');
  await page.getByRole('button', { name: 'Subscribe' }).click();
  await page.locator('.problem', { hasText: '# stands alone' }).waitFor();
});

check('it connects again by itself, and takes its subscriptions with it', async (page) => {
  await connect(page, WS, 4, () => page.locator('[name=clientId]').fill('comes-back'));
  await connected(page);
  await subscribe(page, 'again/#', 1);
  const status = await page.evaluate(async () => (await fetch('/api/v1/clients/comes-back', { method: 'DELETE' })).status);
  same(status, 200, 'status of the request that cuts it off');
  await page.locator('#state', { hasText: 'Next attempt' }).waitFor();
  await connected(page);
  // Its SUBSCRIBE goes out behind CONNECT: a message may come before it.
  for (let at = 0; !await line(page, 'still here').count(); at++) {
    assert(at < 50, 'nothing comes after the second CONNECT');
    await publish('again/a', 'still here');
  }
});

check('who is taken over does not fight for the Session', async (page) => {
  await connect(page, WS, 5, () => page.locator('[name=clientId]').fill('twins'));
  await connected(page);
  await subscribe(page, 'twins/#', 1);
  await page.evaluate(async (url) => {
    const { MqttClient } = await import('/assets/mqtt.js');
    const twin = new MqttClient({ url, version: 4, clientId: 'twins' });
    await new Promise((resolve) => {
      twin.addEventListener('connack', resolve);
      twin.connect();
    });
    twin.disconnect();
  }, WS);
  await page.locator('#problem', { hasText: 'Session taken over' }).waitFor();
  same(await text(page, '#state'), 'Not connected', 'the state');
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await connected(page);
  await page.locator('.filters li', { hasText: 'twins/#' }).waitFor();
  await publish('twins/a', 'still here');
  await line(page, 'still here').waitFor();
});

check('a link shares the settings and no secret', async (page, context) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const secret = 'token-and-password';
  await connect(page, `${WS.replace(/\/$/, '')}/mqtt?token=${secret}`, 4, async () => {
    await page.locator('[name=username]').fill('somebody');
    await page.locator('[name=password]').fill(secret);
    await page.locator('summary', { hasText: 'Will' }).click();
    await page.locator('[name=willTopic]').fill('w');
    await page.locator('[name=willPayload]').fill(secret);
  });
  await connected(page);
  await subscribe(page, 'shared/+/x', 1);
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  await page.locator('.toast', { hasText: 'Copied' }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert(!decodeURIComponent(link).includes(secret), `a secret in ${link}`);
  assert(link.startsWith(`${BASE}/client#`), link);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert(!kept.includes(secret), `a secret in ${kept}`);
  const other = await context.newPage();
  await other.goto(link);
  same(await other.locator('[name=username]').inputValue(), 'somebody', 'the user');
  same(await other.locator('[name=version]').inputValue(), '4', 'the version');
  same(await other.locator('[name=password]').inputValue(), '', 'the password');
  same(new URL(other.url()).hash, '', 'what is left of the link');
  await other.getByRole('button', { name: 'Connect', exact: true }).click();
  await connected(other);
  await other.locator('.filters li', { hasText: 'shared/+/x' }).waitFor();
});

check('what it receives stays text, and is looked for', async (page) => {
  await connect(page, WS, 5);
  await connected(page);
  await subscribe(page, 'text/#', 0);
  const evil = '<img src=x onerror=alert(1)>';
  await publish(`text/${evil}`, `{"a": "${evil}", "n": [1, true, null, 1e3]}`);
  await publish('text/other', 'needle');
  await line(page, 'needle').waitFor();
  await line(page, evil).click();
  await page.locator('.detail pre', { hasText: '"n": [' }).waitFor();
  same(await page.locator('main img').count(), 0, 'images');
  await page.getByLabel('Search messages').fill('NEEDLE');
  await page.locator('.history footer', { hasText: '1 of 2 messages' }).waitFor();
  same(await line(page, 'text/').count(), 1, 'messages that fit');
});

check('a flood of messages leaves the page usable', async (page) => {
  await connect(page, WS, 5);
  await connected(page);
  await subscribe(page, 'flood/#', 0);
  await page.evaluate(async (url) => {
    const { MqttClient } = await import('/assets/mqtt.js');
    const source = new MqttClient({ url, version: 5, clientId: 'flood-source' });
    await new Promise((resolve) => {
      source.addEventListener('connack', resolve);
      source.connect();
    });
    const payload = new TextEncoder().encode('x'.repeat(100));
    const sent = [];
    for (let at = 0; at < 15000; at++) sent.push(source.publish(`flood/${at % 100}`, payload, { qos: at % 1000 === 999 ? 1 : 0 }));
    await Promise.all(sent);
  }, WS);
  await page.waitForFunction(() => /older ones let go/.test(document.querySelector('.history footer').textContent));
  const drawn = await page.locator('.messages .line').count();
  assert(drawn < 60, `${drawn} rows exist`);
});

check('a message beyond all measure is cut, with a note', async (page) => {
  await connect(page, WS, 5);
  await connected(page);
  await subscribe(page, 'long/#', 0);
  await page.evaluate(async (url) => {
    const { MqttClient } = await import('/assets/mqtt.js');
    const source = new MqttClient({ url, version: 4, clientId: 'long-source' });
    await new Promise((resolve) => {
      source.addEventListener('connack', resolve);
      source.connect();
    });
    await source.publish('long/a', new Uint8Array(3000000).fill(228), { qos: 1 });
    await source.publish('long/b', new TextEncoder().encode('ä'.repeat(100000)), { qos: 1 });
  }, WS);
  await line(page, 'long/a').click();
  await page.locator('.detail', { hasText: 'The first 4096 of 3000000 bytes' }).waitFor();
  await line(page, 'long/b').click();
  await page.locator('.detail', { hasText: 'The first 65536 of 200000 bytes' }).waitFor();
});

runCases();
