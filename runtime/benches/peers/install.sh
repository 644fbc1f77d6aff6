#!/usr/bin/env bash
# Installs the readers of other languages that the lookup bench measures beside ours, at fixed versions, into
# target/peers: the `maxminddb` package of PyPI with its C extension, and the `maxmind` package of npm.
set -euo pipefail
cd "$(dirname "$0")/../../.."
maxminddb=3.2.0
maxmind=5.0.7
mkdir -p target/peers/node
python3 -m venv target/peers/python
target/peers/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "maxminddb==$maxminddb"
npm install --silent --no-audit --no-fund --no-save --prefix target/peers/node "maxmind@$maxmind"
target/peers/python/bin/python -c 'import maxminddb.extension, sys; print("python", sys.version.split()[0], "maxminddb", maxminddb.__version__)'
node -p '"node " + process.versions.node + " maxmind " + require("./target/peers/node/node_modules/maxmind/package.json").version'
