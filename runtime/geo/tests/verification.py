"""Prints what sources say of addresses, read by other programs than ours: a line of JSON for each address.

    verification.py FOLDER COUNT

COUNT random addresses, and the first and last of COUNT / 10 ranges of each kind of source, half of them IPv6.
"""

import bisect
import csv
import ipaddress
import json
import pathlib
import random
import sys

import maxminddb

FOLDER, COUNT = pathlib.Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(7)
cities = {4: [], 6: []}
for path in sorted(FOLDER.glob("*city*.mmdb")):
    reader = maxminddb.open_database(str(path))
    cities[reader.metadata().ip_version].append(reader)
starts, rows = {4: [], 6: []}, {4: [], 6: []}
for path in sorted(FOLDER.glob("asn*.csv")):
    with path.open(encoding="utf-8", newline="") as file:
        for first, last, number, name in csv.reader(file):
            first, last = ipaddress.ip_address(first), ipaddress.ip_address(last)
            rows[first.version].append((int(first), int(last), int(number), name))
for version in rows:
    rows[version].sort()
    starts[version] = [row[0] for row in rows[version]]
# By IP version and length of a prefix: from its first address to the lists that have it, in the order of their names.
networks = {4: {}, 6: {}}
for path in sorted(FOLDER.glob("*.txt")):
    what, name = path.stem.split(".", 1)
    for line in path.read_text().split():
        network = ipaddress.ip_network(line)
        ones = networks[network.version].setdefault(network.prefixlen, {})
        ones.setdefault(int(network.network_address), set()).add((path.name, what, name))


def lists_of(address):
    bits, number = address.max_prefixlen, int(address)
    found = set()
    for length, ones in networks[address.version].items():
        found |= ones.get(number >> bits - length << bits - length, set())
    return [(what, name) for _, what, name in sorted(found)]


def city_of(address):
    for reader in cities[address.version]:
        record = reader.get(str(address))
        if record:
            return record
    return {}


def expected(address):
    place, said = city_of(address), {"ip": str(address)}
    for ours, theirs in [("country_code", "country_code"), ("city", "city"), ("latitude", "latitude"), ("longitude", "longitude")]:
        said[ours] = place.get(theirs) or None
    at = bisect.bisect_right(starts[address.version], int(address)) - 1
    row = rows[address.version][at] if at >= 0 else None
    said["asn"] = f"AS{row[2]}" if row and row[1] >= int(address) and row[2] else None
    said["flags"], said["company"], said["crawler"] = [], None, None
    for what, name in lists_of(address):
        if what.startswith("is_"):
            said["flags"].append(what)
        elif what == "crawler":
            said["crawler"] = said["crawler"] or name
        else:
            said["company"] = said["company"] or name
            if what == "hosting":
                said["flags"].append("is_datacenter")
    said["flags"] = sorted(set(said["flags"]))
    return said


def random_address(version):
    if version == 4:
        return ipaddress.IPv4Address(draw.randrange(0x01000000, 0xE0000000))
    block = draw.choice([0x2001, 0x2400, 0x2600, 0x2800, 0x2A00]) | draw.randrange(0x10)
    return ipaddress.IPv6Address(block << 112 | draw.getrandbits(112))


def ends(version):
    """First and last addresses of ranges of every source."""
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    for first, last, _, _ in draw.sample(rows[version], min(len(rows[version]), COUNT // 20)):
        yield from (kind(first), kind(last))
    network_kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    all_networks = sorted((start, length) for length, ones in networks[version].items() for start in ones)
    for start, length in draw.sample(all_networks, min(len(all_networks), COUNT // 20)):
        network = network_kind((start, length))
        yield from (network[0], network[-1])
    for _ in range(COUNT // 20):
        for reader in cities[version]:
            address = random_address(version)
            record, length = reader.get_with_prefix_len(str(address))
            network = ipaddress.ip_network((address, length), strict=False)
            yield from (network[0], network[-1])


for version in (4, 6):
    for address in [random_address(version) for _ in range(COUNT // 2)] + list(ends(version)):
        # Nobody is answered about others, so lists of them are not read.
        if address.is_global:
            print(json.dumps(expected(address)))
