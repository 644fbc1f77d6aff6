// Looks addresses up with the `maxmind` package, as the lookup bench asks: see lookup.py beside this.
const fs = require('node:fs');
const readline = require('node:readline');
const maxmind = require(process.argv[4] + '/node_modules/maxmind');

let reader;
const addresses = fs.readFileSync(process.argv[3], 'ascii').split('\n').filter(Boolean);

function run(some) {
  let length = 0;
  for (const address of some) length += JSON.stringify(reader.get(address)).length;
  return length;
}

function answer(line) {
  const [verb, start, count] = line.split(' ');
  const some = Array.from({ length: +count }, (_, n) => addresses[(+start + n) % addresses.length]);
  if (verb === 'time') {
    const begun = process.cpuUsage();
    run(some);
    const { user, system } = process.cpuUsage(begun);
    console.log(((user + system) * 1000) / some.length);
  } else {
    console.log(some.map((address) => JSON.stringify(reader.get(address))).join('\n'));
  }
}

// As its documentation opens a database: read whole, with its cache of 10,000 records.
maxmind.open(process.argv[2]).then((opened) => {
  reader = opened;
  readline.createInterface({ input: process.stdin }).on('line', answer);
});
