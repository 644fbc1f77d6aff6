// Opens pages in Chromium as a desktop and a phone, light and dark, and prints what it found as JSON: the text, the
// findings of axe-core, messages on the console, requests to other hosts, and whether the page is wider than the screen.
// Usage: node browse.mjs CHROMIUM FOLDER NAME=URL=READY…, where READY is an element that is not hidden once the page is complete.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [chromium, folder, ...pages] = process.argv.slice(2);
const require = createRequire(join(process.cwd(), 'package.json'));
const CDP = require('chrome-remote-interface');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SCREENS = [['desktop', 1280, 900, false], ['phone', 390, 844, true]];
const READY_MS = 15_000;

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
    height: document.documentElement.scrollHeight })`);
  const { data } = await client.Page.captureScreenshot({ captureBeyondViewport: true,
    clip: { x: 0, y: 0, width, height: Math.min(found.height, 6_000), scale: 1 } });
  writeFileSync(join(folder, `${name}-${kind}-${scheme}.png`), Buffer.from(data, 'base64'));
  await client.close();
  await CDP.Close({ port: at, id: target.id });
  return { page: name, screen: kind, scheme, text: found.text, too_wide: found.width > width, findings, messages, foreign };
};

try {
  const at = await port();
  const results = [];
  for (const page of pages) {
    const [name, rest] = [page.slice(0, page.indexOf('=')), page.slice(page.indexOf('=') + 1)];
    const cut = rest.lastIndexOf('=');
    for (const screen of SCREENS) {
      for (const scheme of ['light', 'dark']) {
        results.push(await look(at, [name, rest.slice(0, cut), rest.slice(cut + 1)], screen, scheme));
      }
    }
  }
  console.log(JSON.stringify(results));
} finally {
  browser.kill();
  await ended;
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
