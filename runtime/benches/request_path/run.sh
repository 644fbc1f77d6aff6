#!/bin/sh
# Prints the table of the request path: installs the peers, builds the programs as they are deployed, measures all in one
# run. Linux, with python3, node, cmake, autotools and a C++ compiler (the Node peer builds AWS's own client).
set -eu
cd "$(dirname "$0")/../../.."
sh runtime/benches/request_path/peers/install.sh
cargo build --profile lambda --package ipgeo-runtime --bin bootstrap --bin floor
# What is measured are other programs: the one that measures need not be optimised, which would take long.
cargo bench --profile dev --workspace --bench request_path
