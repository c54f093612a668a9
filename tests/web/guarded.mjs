// The dashboard of a broker that asks who one is, in a browser: the login, and its bridges, one of them
// to nowhere. Its user bob may administrate, amy may not.

import { BASE, assert, check, publish, runCases, same } from './browser.mjs';

const { TOKEN } = process.env;

async function logIn(page, user, secret) {
  const dialog = page.locator('dialog.login');
  await dialog.waitFor();
  await dialog.locator('[name=user]').fill(user);
  await dialog.locator('[name=secret]').fill(secret);
  await dialog.getByRole('button', { name: 'Log in' }).click();
}

/** What the browser itself writes down about answers that are no success. */
function expected(errors, status) {
  assert(errors.length > 0 && errors.every((error) => error.includes(String(status))), errors.join());
  errors.splice(0);
}

const connected = (page) => page.locator('#link-dot.good').waitFor();

check('a token logs in, stays for the session, and is given back', async (page, context, errors) => {
  await page.goto(BASE);
  await logIn(page, '', 'a-token-that-is-wrong');
  await page.locator('dialog .problem', { hasText: 'not accepted' }).waitFor();
  await logIn(page, '', TOKEN);
  await connected(page);
  expected(errors, 401);
  await page.reload();
  await connected(page);
  same(await page.locator('dialog').count(), 0, 'dialogs after a reload');
  const kept = await page.evaluate(() => [location.href, document.cookie, localStorage.length]);
  assert(!kept.join().includes(TOKEN), 'the token is where others find it');
  await page.locator('#logout').click();
  await page.locator('dialog.login').waitFor();
  expected(errors, 401);
});

check('a user of the broker logs in, and publishes under its name', async (page, context, errors) => {
  await page.goto(BASE);
  await logIn(page, 'bob', 'secret');
  await connected(page);
  expected(errors, 401);
  await page.goto(`${BASE}/#/live`);
  await page.locator('[name=topic]').fill('not/allowed');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.locator('.publish .problem', { hasText: /author/i }).waitFor();
  expected(errors, 422);
  await page.locator('[name=topic]').fill('here/x');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.locator('.publish [role=status]', { hasText: /sent|published/i }).waitFor();
});

check('a user who may not administrate is told so', async (page, context, errors) => {
  await page.goto(BASE);
  await logIn(page, 'amy', 'secret');
  await page.locator('text=/may not administrate/').first().waitFor();
  errors.splice(0);
});

check('bridges show what crosses them, and why they are down', async (page, context, errors) => {
  await page.goto(`${BASE}/#/bridges`);
  await logIn(page, '', TOKEN);
  const up = page.locator('section[aria-label=up]');
  await up.locator('.mark.good').waitFor();
  await publish('here/bridged', 'x', '-u', 'bob', '-P', 'secret');
  await up.locator('dd', { hasText: /[1-9].* out/ }).waitFor();
  const down = page.locator('section[aria-label=nowhere]');
  await down.locator('.mark.bad', { hasText: 'down' }).waitFor();
  await down.locator('dd', { hasText: /refused/i }).waitFor();
  expected(errors, 401);
});

runCases();
