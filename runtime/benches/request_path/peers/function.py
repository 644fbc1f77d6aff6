"""The same lookup as a Python function: API key, location, one usage line. With PEER_STORE=boto3 the API key's record
is read from the store, else it is known."""

import hashlib
import json
import os
import sys

import maxminddb

DATABASE = maxminddb.open_database(os.environ["IPGEO_GEO_DATABASE"], maxminddb.MODE_MMAP_EXT)
STORE = None
if os.environ.get("PEER_STORE") == "boto3":
    import boto3

    STORE = boto3.client("dynamodb")
RECORDS = {}


def record(identity):
    if identity not in RECORDS:
        if STORE:
            key = {"id": {"S": identity}}
            RECORDS[identity] = STORE.get_item(TableName="access", Key=key).get("Item")
        else:
            RECORDS[identity] = {"tier": {"S": "startup"}}
    return RECORDS[identity]


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def handler(event, _context):
    path = event["rawPath"].strip("/")
    if path == "health":
        return answer(200, {"status": "ok"})
    identity = "key#" + hashlib.sha256(event["headers"]["x-api-key"].encode()).hexdigest()
    found = record(identity)
    if not found:
        return answer(401, {"message": "no such API key"})
    location = DATABASE.get(path)
    if location is None:
        return answer(404, {"message": "not known"})
    line = {"ipgeo": 1, "c": identity, "t": found["tier"]["S"], "r": event["requestContext"]["requestId"]}
    sys.stdout.write(json.dumps(line) + "\n")
    return answer(200, {"ip": path, **location})
