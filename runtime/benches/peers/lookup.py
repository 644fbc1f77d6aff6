"""Looks addresses up with the `maxminddb` package and its C extension, as the lookup bench asks.

Arguments: a database, a file of addresses. Each line of standard input is `time FROM COUNT` (answered by nanoseconds of
processor time a lookup, its JSON included) or `tell FROM COUNT` (answered by a line of JSON for each of these addresses).
"""

import json
import sys
import time

import maxminddb

reader = maxminddb.open_database(sys.argv[1], maxminddb.MODE_MMAP_EXT)
with open(sys.argv[2], encoding="ascii") as file:
    addresses = file.read().split()


def run(some):
    get, dumps = reader.get, json.dumps
    length = 0
    for address in some:
        length += len(dumps(get(address)))
    return length


for line in sys.stdin:
    verb, start, count = line.split()
    some = [addresses[n % len(addresses)] for n in range(int(start), int(start) + int(count))]
    if verb == "time":
        begun = time.process_time_ns()
        run(some)
        print((time.process_time_ns() - begun) / len(some), flush=True)
    else:
        for address in some:
            print(json.dumps(reader.get(address)))
        sys.stdout.flush()
