// Tabs of Chromium that show the dashboard until standard input ends. Prints for the first of them
// when something was painted, and what all that it loaded weighs.
//   BASE, COUNT   where to look, and in how many tabs      CHROMIUM, PLAYWRIGHT   program and library

import { once } from 'node:events';
import { createRequire } from 'node:module';

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
const tabs = [];
for (let count = Number(process.env.COUNT); count > 0; count -= 1) {
  // Only tabs in sight hold a stream; here all are, and a visitor has six connections to a host.
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.goto(process.env.BASE);
  await page.locator('#link-dot.good').waitFor();
  tabs.push(page);
}
const [first] = tabs;
const weight = await first.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .filter(({ name }) => !name.includes('/api/')).reduce((all, { decodedBodySize }) => all + decodedBodySize, 0));
// A browser that has only just started paints late: the first tab is asked for again.
await first.bringToFront();
await first.reload();
const painted = await first.evaluate(() => new Promise((resolve) => {
  const seen = ({ startTime }) => resolve(startTime);
  new PerformanceObserver((list) => seen(list.getEntries()[0])).observe({ type: 'paint', buffered: true });
}));
console.log(JSON.stringify({ first_paint_ms: painted, overview_bytes: weight }));
process.stdin.resume();
await once(process.stdin, 'end');
await browser.close();
