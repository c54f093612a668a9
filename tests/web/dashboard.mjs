// The dashboard in a browser, against the real broker.

import { BASE, assert, check, publish, retain, rows, runCases, same, subscriber, text } from './browser.mjs';

/** The views and what stands above them. */
const TITLES = {
  '': 'Overview', clients: 'Clients', topics: 'Topics', live: 'Messages', retained: 'Retained messages', bridges: 'Bridges',
  log: 'Log', details: 'Details',
};
const VIEWS = Object.keys(TITLES);

/** Goes to a view, and waits until the one before it has left. */
async function open(page, place) {
  await page.goto(`${BASE}/#/${place}`);
  await page.locator('main h1', { hasText: TITLES[place.split('/')[0]] }).waitFor();
}

const listed = (page, words) => page.locator('.line:not([hidden])', { hasText: words });

for (const [name, width, height] of [['a phone', 360, 740], ['a tablet', 768, 1024], ['a desk', 1280, 800]]) {
  for (const colorScheme of ['light', 'dark']) {
    check(`every view fits on ${name}, ${colorScheme}`, async (page) => {
      for (const view of VIEWS) {
        await open(page, view);
        await page.locator('#link-dot.good').waitFor();
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert(wider <= 0, `${view} is ${wider} pixels wider than the screen`);
        if (view === 'details') await page.locator('.plain td').first().waitFor();
        const crossed = await page.evaluate(() => [...document.querySelectorAll('main .card, main .head > *')]
          .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.innerText));
        same(crossed, [], `what crosses its edge in ${view}`);
      }
    }, { viewport: { width, height }, colorScheme });
  }
}

check('all that the dashboard loads stays below its weight', async (page) => {
  const seen = new Map();
  page.on('response', (answer) => {
    if (!answer.url().includes('/api/') && !seen.has(answer.url())) seen.set(answer.url(), answer.body());
  });
  for (const view of VIEWS) await open(page, view);
  await page.waitForLoadState();
  for (const url of seen.keys()) assert(url.startsWith(BASE), `${url} is not the broker's`);
  const bodies = await Promise.all(seen.values());
  const weight = bodies.reduce((sum, body) => sum + body.length, 0);
  assert(seen.size > 20 && weight < 150000, `${seen.size} files, ${weight} bytes`);
});

check('the overview counts who is there and what goes through', async (page) => {
  await open(page, '');
  await page.locator('.graph canvas').first().waitFor();
  await subscriber('overview-1', 'overview/#');
  await publish('overview/a', 'x');
  await page.waitForFunction(() => Number(document.querySelectorAll('.graph')[2].querySelector('strong').textContent) >= 1);
  await page.locator('.graph').first().locator('text=/[1-9].* in, .* out in all/').waitFor();
  await page.locator('.rows li', { hasText: 'mqtt' }).first().waitFor();
});

check('a client that connects is listed, looked at and thrown out', async (page, context, errors) => {
  await open(page, 'clients');
  const sub = await subscriber('kick me/1', 'kicks/#', '-q', '1', '--max-reconnects', '0');
  await subscriber('stays', 'other/#');
  await page.getByLabel('Search clients').fill('KICK');
  await listed(page, 'kick me/1').click();
  const panel = page.locator('.panel:not([hidden])');
  await panel.locator('text=kicks/#').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.gutter .line:not([hidden])').length === 1);
  await panel.getByRole('button', { name: 'Disconnect' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await sub.ended;
  await panel.locator('text=no such client any more').waitFor();
  // The browser itself writes down that what was looked at is gone.
  errors.splice(0, errors.length, ...errors.filter((error) => !error.includes('404')));
  await page.getByLabel('Search clients').fill('');
  await listed(page, 'stays').waitFor();
});

check('the list of clients is sorted by the column that is clicked', async (page) => {
  await subscriber('sorted-b', 'x/#');
  await subscriber('sorted-a', 'x/#');
  await open(page, 'clients');
  await page.getByLabel('Search clients').fill('sorted-');
  const order = async (first) => page.waitForFunction((wanted) => {
    const ids = [...document.querySelectorAll('.gutter .line:not([hidden])')].map((row) => [row.style.transform, row.querySelector('.mono').textContent]);
    return ids.length === 2 && ids.sort((left, right) => parseFloat(left[0].slice(11)) - parseFloat(right[0].slice(11)))[0][1] === wanted;
  }, first);
  await order('sorted-a');
  await page.getByRole('button', { name: 'Client id' }).click();
  await order('sorted-b');
});

check('topics open as a tree, by mouse and by keys, with their values', async (page) => {
  await open(page, 'topics');
  await page.locator('.line', { hasText: /\w/ }).or(page.locator('.empty:not([hidden])')).first().waitFor();
  const beat = setInterval(() => publish('tree/hall/temperature', '21.5').catch(() => {}), 300);
  try {
    await listed(page, 'tree').locator('.twist').click();
    await listed(page, 'hall').click();
    await page.keyboard.press('Escape');
    await page.keyboard.press('ArrowRight');
    const row = listed(page, 'temperature');
    await row.locator('text=21.5').waitFor();
    await row.click();
    await page.locator('.panel pre', { hasText: '21.5' }).waitFor();
    await page.locator('.panel a', { hasText: 'Subscribe' }).click();
    await page.locator('.filters li', { hasText: 'tree/hall/temperature' }).waitFor();
    await page.locator('.messages .line', { hasText: '21.5' }).first().waitFor();
  } finally {
    clearInterval(beat);
  }
});

check('a level with thousands of topics is turned page by page', async (page) => {
  await retain(Array.from({ length: 2500 }, (_, at) => `many/room${at}`), '21.5');
  await open(page, 'topics');
  await listed(page, 'many').locator('.twist').click();
  await listed(page, 'room999').or(listed(page, 'room0')).first().waitFor();
  const box = page.locator('[role=tree]');
  const turned = (words) => page.locator('.pager:visible', { hasText: words }).first();
  const scroll = () => box.evaluate((list) => {
    const open = [...list.querySelectorAll('.line')].find((row) => row.querySelector('.twist.open'));
    list.scrollTop = 36 * (Number(open.dataset.index) + 1000);
  });
  await scroll();
  await turned('1 to 1,000 of 2,500').getByRole('button', { name: 'Next' }).click();
  // Numbers count by their value, so what comes next is where one looks for it.
  await listed(page, 'room1000').waitFor();
  await box.focus();
  await page.keyboard.press('ArrowRight');
  await turned('2,001 to 2,500 of 2,500').waitFor();
  await listed(page, 'room2000').waitFor();
  await turned('2,001').getByRole('button', { name: 'To the first' }).click();
  await listed(page, 'room0').waitFor();
  await page.getByLabel('Search topics').fill('ROOM');
  await page.locator('footer [role=status]', { hasText: '2,500 found' }).waitFor();
  await box.focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await turned('1,001 to 2,000 of 2,500').waitFor();
});

check('the publish box reaches a subscriber, and a subscription here sees it', async (page) => {
  const sub = await subscriber('reads', 'desk/#', '-V', '5', '-q', '2', '-F', '%t %q %r %C %p');
  await open(page, 'live');
  await page.getByLabel('Topic Filter').fill('desk/#');
  await page.getByRole('button', { name: 'Subscribe' }).click();
  await page.locator('.filters li').waitFor();
  await page.locator('[name=topic]').fill('desk/one');
  await page.locator('[name=payload]').fill('{"a": 12345678901234567890}');
  await page.locator('form.publish [name=qos]').selectOption('2');
  await page.locator('summary', { hasText: 'Properties' }).click();
  await page.locator('[name=content-type]').fill('application/json');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await sub.said('desk/one 2 0 application/json {"a": 12345678901234567890}');
  const received = page.locator('.messages .line', { hasText: 'desk/one' }).filter({ hasNotText: '\u2191' });
  await received.click();
  await page.locator('.detail pre', { hasText: '"a": 12345678901234567890' }).waitFor();
  await page.locator('[name=topic]').fill('desk/+');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.locator('.publish .problem', { hasText: 'one topic' }).waitFor();
});

check('bytes that are no text come as hexadecimal, and go as hexadecimal', async (page) => {
  const sub = await subscriber('bytes', 'bytes/#', '-F', '%x');
  await open(page, `live/${encodeURIComponent('bytes/#')}`);
  await page.locator('.filters li').waitFor();
  await page.locator('[name=topic]').fill('bytes/a');
  await page.locator('[name=format]').selectOption('hex');
  await page.locator('[name=payload]').fill('00 ff 7e');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await sub.said('00ff7e');
  await page.locator('.messages .line', { hasText: '00 ff 7e' }).last().click();
  await page.locator('.detail pre', { hasText: '0000  00 ff 7e' }).waitFor();
});

check('retained messages are shown and deleted', async (page) => {
  await publish('kept/a', 'one', '-r');
  await publish('kept/b', 'two', '-r');
  await publish('kept/sub/c', 'three', '-r');
  await open(page, `retained/${encodeURIComponent('kept/#')}`);
  await listed(page, 'kept/b').click();
  await page.locator('.panel pre', { hasText: 'two' }).waitFor();
  await page.locator('.panel').getByRole('button', { name: 'Delete' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.locator('.toast', { hasText: '1 message deleted' }).waitFor();
  // The list is never empty in between.
  await listed(page, 'kept/b').waitFor({ state: 'hidden' });
  same((await rows(page, '.gutter')).length, 2, 'retained messages left');
  await page.getByRole('button', { name: 'Delete all shown' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.locator('.empty:not([hidden])', { hasText: 'Nothing is retained' }).waitFor();
  const sub = await subscriber('late', 'kept/#');
  await publish('kept/end', 'new');
  await sub.said('kept/end new');
  same(sub.lines(), ['kept/end new'], 'what a late subscriber gets');
});

check('the log grows while one looks at it, and is searched', async (page) => {
  await open(page, 'log');
  await page.locator('.log-line').first().waitFor();
  await subscriber('in-the-log', 'x');
  await page.getByLabel('Search the log').fill('in-the-log');
  await listed(page, 'in-the-log').first().waitFor();
});

check('what clients send stays text wherever it is shown', async (page) => {
  const evil = '<img src=x onerror=alert(1)>';
  const evils = `evil/${evil}`;
  await subscriber(evil, evils);
  await publish(evils, `<script>alert(2)</script>\u202Egnp.exe`, '-r');
  const beat = setInterval(() => publish(evils, `"><svg onload=alert(3)>`, '-r').catch(() => {}), 500);
  const none = async () => same(await page.locator('main img, main script, main svg[onload]').count(), 0, 'elements of clients');
  try {
    await open(page, 'clients');
    await listed(page, evil).click();
    await page.locator('.panel:not([hidden])', { hasText: evils }).waitFor();
    await none();
    await open(page, 'topics');
    await listed(page, 'evil').locator('.twist').click();
    await listed(page, evil).click();
    await page.locator('.panel pre', { hasText: 'svg onload' }).waitFor();
    await none();
    await open(page, `live/${encodeURIComponent('evil/#')}`);
    await page.locator('.messages .line', { hasText: 'svg onload' }).first().click();
    await page.locator('.detail pre', { hasText: 'svg onload' }).waitFor();
    await none();
    await open(page, `retained/${encodeURIComponent('evil/#')}`);
    await listed(page, evil).click();
    await page.locator('.panel:not([hidden]) h2', { hasText: evils }).waitFor();
    await none();
    await open(page, 'log');
    await listed(page, evil).first().waitFor();
    await none();
  } finally {
    clearInterval(beat);
  }
});

check('it can be used by keys alone', async (page) => {
  await subscriber('by-keys', 'x');
  await open(page, '');
  await page.locator('#link-dot.good').waitFor();
  await page.keyboard.press('Tab');
  same(await text(page, ':focus'), 'To the content', 'what Tab comes to first');
  await page.keyboard.press('Enter');
  same(await page.evaluate(() => document.activeElement.id), 'main', 'where it leads');
  await open(page, 'clients');
  await listed(page, 'by-keys').waitFor();
  await page.getByLabel('Search clients').fill('by-keys');
  await page.waitForFunction(() => document.querySelectorAll('.gutter .line:not([hidden])').length === 1);
  await page.locator('[role=listbox]').focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.locator('.panel:not([hidden])', { hasText: 'by-keys' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.panel').waitFor({ state: 'hidden' });
});

check('the theme is what was chosen, also after a reload', async (page) => {
  await open(page, '');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator('[data-theme-toggle]').click();
  await page.locator('[data-theme-toggle]').click();
  const dark = await ground();
  assert(light !== dark, 'light and dark look the same');
  await page.reload();
  same(await ground(), dark, 'the ground after a reload');
}, { colorScheme: 'light' });

runCases();
