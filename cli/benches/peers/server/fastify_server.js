// A server like `ipgeo dev`'s on Fastify: see service.py beside this, which it does as much as.
const fs = require('node:fs');
const { createRequire } = require('node:module');
const installed = createRequire(process.cwd() + '/');
const maxmind = installed('maxmind');
const fastify = installed('fastify')();

const [database, apiKey, log] = process.argv.slice(2);
const counts = new Map([[apiKey, 0]]);
let lines = [];

async function main() {
  // As its documentation opens a database: read whole, with its cache of 10,000 records.
  const reader = await maxmind.open(database);
  fastify.get('/:address', (request, reply) => {
    const key = request.headers['x-api-key'];
    if (!counts.has(key)) return reply.code(401).send({ message: 'unknown API key' });
    const { address } = request.params;
    if (!maxmind.validate(address)) return reply.code(400).send({ message: `${address} is no IP address` });
    const record = reader.get(address);
    if (record === null) return reply.code(404).send({ message: `${address} is not in the database` });
    const count = counts.get(key) + 1;
    counts.set(key, count);
    const area = record.area || {};
    const texts = [record.place, area.text, area.country, record.asn].filter(Boolean);
    lines.push(JSON.stringify({ time: Date.now(), verdict: 'allowed', cost: 1, key }));
    return reply.type('application/json').send([`{"ip":"${address}"`, ...texts, `"count":"${count}"}`].join(','));
  });
  setInterval(() => {
    const written = lines;
    lines = [];
    fs.appendFile(log, written.map((line) => line + '\n').join(''), () => {});
  }, 1000);
  const url = await fastify.listen({ port: 0, host: '127.0.0.1' });
  console.log(new URL(url).port);
}

main();
