"""What the Python servers do: an address is looked up for an API key, counted, and leaves a usage line.

They do less than `ipgeo dev`: counts are numbers in memory, there is no quota, no tier, no time of day in an answer.
"""

import asyncio
import json
import sys
import time

import maxminddb

database, api_key, log = sys.argv[1:4]
reader = maxminddb.open_database(database, maxminddb.MODE_MMAP_EXT)
counts = {api_key: 0}
lines = []


def lookup(address, key):
    """Status and JSON."""
    if key not in counts:
        return 401, '{"message":"unknown API key"}'
    try:
        record = reader.get(address)
    except ValueError:
        return 400, json.dumps({"message": f"{address} does not appear to be an IPv4 or IPv6 address"})
    if record is None:
        return 404, json.dumps({"message": f"{address} is not in the database"})
    counts[key] += 1
    area = record.get("area", {})
    texts = [record.get("place"), area.get("text"), area.get("country"), record.get("asn")]
    lines.append(json.dumps({"time": time.time(), "verdict": "allowed", "cost": 1, "key": key}))
    return 200, ",".join([f'{{"ip":"{address}"', *filter(None, texts), f'"count":"{counts[key]}"}}'])


async def write_lines():
    """Every second what there is."""
    with open(log, "a", encoding="utf-8") as file:
        while True:
            await asyncio.sleep(1)
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            lines.clear()
