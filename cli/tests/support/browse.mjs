// Opens pages in Chromium as a desktop and a phone, light and dark, and prints what it found as JSON: the text, the
// findings of axe-core, messages on the console, requests to other hosts, and whether the page is wider than the screen.
// With `paper` it also prints each page as PDF: the number of pages, the smallest text, and what is cut off.
// Usage: node browse.mjs CHROMIUM FOLDER screens[,paper] NAME=URL=READY…, where READY is an element that is not hidden once
// the page is complete.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [chromium, folder, what, ...pages] = process.argv.slice(2);
const require = createRequire(join(process.cwd(), 'package.json'));
const CDP = require('chrome-remote-interface');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SCREENS = [['desktop', 1280, 900, false], ['phone', 390, 844, true]];
// Width and height in inches.
const PAPERS = [['a4', 8.27, 11.69], ['letter', 8.5, 11]];
const READY_MS = 15_000;
// For people only; drawing them takes longer than all checks.
const SHOTS = process.env.BLESS || process.env.IPGEO_SCREENSHOTS;

const profile = mkdtempSync(join(folder, 'profile-'));
const browser = spawn(chromium, [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars',
  '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
], { env: { ...process.env, HOME: folder } });
const ended = new Promise(resolve => browser.on('exit', resolve));

const port = () => new Promise((resolve, reject) => {
  let log = '';
  browser.stderr.on('data', part => {
    log += part;
    const found = log.match(/DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/);
    if (found) resolve(Number(found[1]));
  });
  browser.on('exit', () => reject(new Error(log)));
});

const evaluate = async (client, expression) => {
  const { result, exceptionDetails } = await client.Runtime.evaluate({ expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(`${expression.slice(0, 200)}: ${JSON.stringify(exceptionDetails)}`);
  return result.value;
};

// The size of each visible text in CSS pixels, also of those in drawings, which are scaled.
const TEXTS = `(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || !element.getClientRects().length || element.closest('title, style')) continue;
    const scale = element instanceof SVGTextElement ? element.getScreenCTM().d : 1;
    found.push([parseFloat(getComputedStyle(element).fontSize) * scale, node.data.trim(), !!element.closest('svg')]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()`;

const print = async (at, [name, url], [size, paperWidth, paperHeight]) => {
  const target = await CDP.New({ port: at, url: 'about:blank' });
  const client = await CDP({ port: at, target });
  await client.Page.enable();
  // The page's margins are 13 mm at each side.
  const width = Math.round((paperWidth - 26 / 25.4) * 96);
  await client.Emulation.setDeviceMetricsOverride({ width, height: 1_000, mobile: false, deviceScaleFactor: 1 });
  await client.Emulation.setEmulatedMedia({ media: 'print' });
  await client.Page.navigate({ url });
  await client.Page.loadEventFired();
  const [smallest] = await evaluate(client, TEXTS);
  const cut = await evaluate(client, `[...document.querySelectorAll('main, section, .table, td, th')].filter(element =>
    element.clientWidth && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1))
    .map(element => element.outerHTML.slice(0, 120))`);
  await client.Emulation.setEmulatedMedia({ media: '' });
  const { data } = await client.Page.printToPDF({ paperWidth, paperHeight, preferCSSPageSize: false, printBackground: true });
  const pdf = Buffer.from(data, 'base64');
  writeFileSync(join(folder, `${name}-${size}.pdf`), pdf);
  await client.close();
  await CDP.Close({ port: at, id: target.id });
  const pages = (pdf.toString('latin1').match(/\/Type \/Page\b(?!s)/g) ?? []).length;
  return { page: name, size, pages, smallest_pt: Math.round(smallest[0] * 75) / 100, smallest: smallest[1], cut };
};

const look = async (at, page, screen, scheme) => {
  const [name, url, ready] = page;
  const [kind, width, height, mobile] = screen;
  const target = await CDP.New({ port: at, url: 'about:blank' });
  const client = await CDP({ port: at, target });
  const messages = [], foreign = [];
  client.Runtime.consoleAPICalled(({ args }) => messages.push(args.map(arg => arg.value ?? arg.description).join(' ')));
  client.Runtime.exceptionThrown(({ exceptionDetails }) => messages.push(exceptionDetails.text));
  client.Log.entryAdded(({ entry }) => messages.push(`${entry.text} ${entry.url ?? ''}`));
  client.Network.requestWillBeSent(({ request }) => new URL(request.url).host === new URL(url).host || foreign.push(request.url));
  await Promise.all([client.Runtime.enable(), client.Log.enable(), client.Network.enable(), client.Page.enable()]);
  await client.Emulation.setDeviceMetricsOverride({ width, height, mobile, deviceScaleFactor: 1 });
  await client.Emulation.setEmulatedMedia({ features: [
    { name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' },
  ] });
  await client.Page.navigate({ url });
  const shown = `document.readyState === 'complete' && !!document.querySelector(${JSON.stringify(`${ready}:not([hidden])`)})`;
  for (const end = Date.now() + READY_MS; !await evaluate(client, shown);) {
    if (Date.now() > end) throw new Error(`${url} is not complete: ${messages}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  await evaluate(client, axe);
  const findings = await evaluate(client, `axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
    id + ': ' + nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')))`);
  const found = await evaluate(client, `({ text: document.body.innerText, width: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight, sections: [...document.querySelectorAll('section[id]')].map(({ id }) => id) })`);
  const map = (await evaluate(client, TEXTS)).find(([, , in_map]) => in_map);
  if (SHOTS) {
    const { data } = await client.Page.captureScreenshot({ captureBeyondViewport: true,
      clip: { x: 0, y: 0, width, height: Math.min(found.height, 6_000), scale: 1 } });
    writeFileSync(join(folder, `${name}-${kind}-${scheme}.png`), Buffer.from(data, 'base64'));
  }
  if (SHOTS && name === 'picture' && !mobile) {
    // Down to the map, for the README.
    const bottom = await evaluate(client, "document.querySelector('#regions').getBoundingClientRect().bottom + scrollY");
    const { data } = await client.Page.captureScreenshot({ format: 'webp', quality: 80,
      clip: { x: 0, y: 0, width, height: Math.ceil(bottom) + 14, scale: 1 }, captureBeyondViewport: true });
    writeFileSync(join(folder, `usage-${scheme}.webp`), Buffer.from(data, 'base64'));
  }
  await client.close();
  await CDP.Close({ port: at, id: target.id });
  return { page: name, screen: kind, scheme, text: found.text, too_wide: found.width > width, findings, messages, foreign,
    sections: found.sections, map_text_px: map?.[0] ?? 0 };
};

try {
  const at = await port();
  const results = { views: [], papers: [] };
  for (const page of pages) {
    const [name, rest] = [page.slice(0, page.indexOf('=')), page.slice(page.indexOf('=') + 1)];
    const cut = rest.lastIndexOf('=');
    for (const screen of SCREENS) {
      for (const scheme of ['light', 'dark']) {
        results.views.push(await look(at, [name, rest.slice(0, cut), rest.slice(cut + 1)], screen, scheme));
      }
    }
    for (const paper of what.includes('paper') ? PAPERS : []) {
      results.papers.push(await print(at, [name, rest.slice(0, cut)], paper));
    }
  }
  console.log(JSON.stringify(results));
} finally {
  browser.kill();
  await ended;
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
