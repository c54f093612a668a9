// Tabs of Chromium that show the dashboard until standard input ends. A line on standard output says that all
// are open, and when the first of them painted, each time it was loaded.
//   BASE, COUNT   where to look, and in how many tabs      CHROMIUM, PLAYWRIGHT   program and library
//   PAINTS        how often the first tab is loaded for the figure

import { once } from 'node:events';
import { createRequire } from 'node:module';

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

/** A tab of its own context, since a visitor has six connections to a host; only tabs in sight hold a stream,
 * and here all are. */
async function open() {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.goto(process.env.BASE);
  await page.locator('#link-dot.good').waitFor();
  return page;
}

// A browser that has only just started paints late: the first visit does not count.
const first = await open();
const paints = [];
for (let count = Number(process.env.PAINTS); count > 0; count -= 1) {
  await first.reload();
  await first.locator('#link-dot.good').waitFor();
  paints.push(await first.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
}
for (let count = Number(process.env.COUNT); count > 1; count -= 1) await open();
paints.sort((left, right) => left - right);
const middle = (paints[(paints.length - 1) >> 1] + paints[paints.length >> 1]) / 2;
console.log(`first contentful paint of ${paints.length}: median ${Math.round(middle)} ms, worst ${Math.round(paints.at(-1))} ms`);
process.stdin.resume();
await once(process.stdin, 'end');
await browser.close();
