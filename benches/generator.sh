#!/bin/sh
# What `mqttx bench` itself can do, in about two minutes: how fast it sends and receives, how punctual
# it is, what a connection costs it, and whether its figures are true. Wants a quiet machine.
#
#   cargo build --release --bin mqttx --example sink --example crosscheck && benches/generator.sh
#
# Figures of one line each on standard output; the whole tables on standard error.
set -eu
built=${1:-target/release}
mqttx=$built/mqttx
folder=$(mktemp -d)
ulimit -n "$(ulimit -Hn)"

"$built/examples/sink" >"$folder/sink" &
sink=$!
"$mqttx" broker --port 0 --quiet --ready-file "$folder/ready" &
broker=$!
trap 'kill $sink $broker; rm -rf "$folder"' EXIT
while [ ! -s "$folder/ready" ] || [ ! -s "$folder/sink" ]; do sleep 0.1; done
port=$(sed 's/.*"127\.0\.0\.1:\([0-9]*\)".*/\1/' "$folder/ready")

# NAME WORDS…: one row of CSV becomes one line.
messages() {
    name=$1
    shift
    "$mqttx" bench -h 127.0.0.1 --csv "$folder/csv" --progress none "$@" >&2
    awk -F, -v name="$name" '
        NR == 1 { for (at = 1; at <= NF; at++) column[$at] = at }
        NR > 1 {
            rate = $column["received_per_s"]; if (rate == "") rate = $column["sent_per_s"]
            cores = $column["tool_cores"]
            printf "%-36s %12.0f/s  %.2f cores  %.3f µs a message", name, rate, cores, 1e6 * cores / rate
            lag = $column["lag_p99_us"]
            print lag == "" ? "" : "  late by " lag " µs (p99)"
        }' "$folder/csv"
}

# NAME WORDS…: rate and CPU a connect where they come and go, bytes a client where they stay.
connections() {
    name=$1
    shift
    "$mqttx" bench "$@" -h 127.0.0.1 -p "$port" --json "$folder/json" --progress none >&2
    tr ',{}' '\n\n\n' <"$folder/json" >"$folder/lines"
    value() { sed -n "s/^\"$1\":\([0-9.][0-9.]*\)$/\1/p" "$folder/lines" | head -1; }
    awk -v name="$name" -v rate="$(value connects_per_s)" -v cores="$(value tool_cores)" \
        -v bytes="$(value tool)" 'BEGIN {
        printf "%-36s %12.0f/s", name, rate
        if (bytes == "") printf "  %.2f cores  %.1f µs a connect\n", cores, 1e6 * cores / rate
        else printf "  %.0f bytes a client\n", bytes }'
}

for qos in 0 1 2; do
    messages "to the sink, QoS $qos" pub -p "$(cut -d: -f2 "$folder/sink")" -q $qos --max -s 16 --pubs 1 --inflight 1000
done
for qos in 0 1 2; do
    messages "sent, received, verified, QoS $qos" -p "$port" -q $qos --max -s 16 --pubs 1
done
messages "at 20,000/s" -p "$port" -q 0 --rate 20k --pubs 1 --duration 5s --runs 1
connections "come and go, 32 at a time" churn --pubs 32 --duration 5s --runs 1
connections "15,000 idle and subscribed" conn --subs 15000 -A 127.0.0.1,127.0.0.2 --runs 1
"$built/examples/crosscheck"
