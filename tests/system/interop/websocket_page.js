// SPDX-License-Identifier: MIT
// Shows a page in a headless browser until it is done, and prints what it says:
// node websocket_page.js CHROMIUM URL
'use strict';
const { chromium } = require('playwright-core');

(async () => {
  const browser = await chromium.launch({
    executablePath: process.argv[2],
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage();
  page.on('pageerror', (e) => console.log(`not ok the page: ${e.message}`));
  await page.goto(process.argv[3]);
  await page.waitForFunction(() => document.title === 'done', null, { timeout: 120000 });
  process.stdout.write(await page.textContent('#log'));
  await browser.close();
})().catch((e) => {
  console.log(`not ok ${e.message}`);
  process.exitCode = 1;
});
