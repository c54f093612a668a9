#!/bin/sh
# What `mqttx bench` itself can do, in about two minutes: how fast it sends and receives, how punctual
# it is, what a connection costs it, and whether its figures are true. Wants a quiet machine.
#
#   cargo build --release --bin mqttx --example sink --example crosscheck && benches/generator.sh
#
# A line each on standard output, with what is wanted and whether it is reached; the whole tables on
# standard error. Leaves 1 when something is not reached.
set -eu
built=${1:-target/release}
mqttx=$built/mqttx
folder=$(mktemp -d)
ulimit -n "$(ulimit -Hn)"
failed=0

"$built/examples/sink" >"$folder/sink" &
sink=$!
"$mqttx" broker --port 0 --quiet --ready-file "$folder/ready" &
broker=$!
trap 'kill $sink $broker; rm -rf "$folder"' EXIT
while [ ! -s "$folder/ready" ] || [ ! -s "$folder/sink" ]; do sleep 0.1; done
port=$(sed 's/.*"127\.0\.0\.1:\([0-9]*\)".*/\1/' "$folder/ready")

# NAME RATE µs LAG WORDS…: one row of CSV becomes one line. RATE is wanted at least; CPU a message and
# lag (p99) in µs at most; - where nothing is.
messages() {
    name=$1 rate=$2 cost=$3 lag=$4
    shift 4
    "$mqttx" bench -h 127.0.0.1 --csv "$folder/csv" --progress none "$@" >&2
    awk -F, -v name="$name" -v least="$rate" -v cost="$cost" -v most="$lag" '
        NR == 1 { for (at = 1; at <= NF; at++) column[$at] = at }
        NR > 1 {
            rate = $column["received_per_s"]; if (rate == "") rate = $column["sent_per_s"]
            cores = $column["tool_cores"]; each = 1e6 * cores / rate; lag = $column["lag_p99_us"]
            line = sprintf("%-34s %10.0f/s  %.2f cores  %.3f µs a message", name, rate, cores, each)
            if (most != "-") line = line sprintf("  late by %.1f µs (p99)", lag)
            wanted = ""; good = 1
            if (least != "-") { wanted = wanted sprintf(" %d/s", least); good = good && rate >= 0.999 * least }
            if (cost != "-") { wanted = wanted sprintf(" %s µs", cost); good = good && each <= cost }
            if (most != "-") { wanted = wanted sprintf(" late by %s µs", most); good = good && lag <= most }
            print line (wanted == "" ? "" : "   wanted" wanted ": " (good ? "yes" : "NO"))
            exit !good
        }' "$folder/csv" || failed=1
}

# NAME RATE BYTES WORDS…: rate and CPU a connect; where they stay, bytes a client, and BYTES at most.
connections() {
    name=$1 rate=$2 bytes=$3
    shift 3
    "$mqttx" bench "$@" -h 127.0.0.1 -p "$port" --json "$folder/json" --progress none >&2
    # The totals stand before those of each run.
    tr ',{}' '\n\n\n' <"$folder/json" >"$folder/lines"
    value() { sed -n "s/^\"$1\":\([0-9.][0-9.]*\)$/\1/p" "$folder/lines" | head -1; }
    lag=$(sed 's/.*"lag_us":{\([^}]*\)}.*/\1/; s/.*"p99":\([0-9.]*\).*/\1/' "$folder/json")
    awk -v name="$name" -v rate="$(value connects_per_s)" -v cores="$(value tool_cores)" -v lag="$lag" \
        -v here="$(value tool)" -v least="$rate" -v most="$bytes" 'BEGIN {
        line = sprintf("%-34s %10.0f/s", name, rate)
        if (here == "") line = line sprintf("  %.2f cores  %.1f µs a connect", cores, 1e6 * cores / rate)
        else line = line sprintf("  %.0f bytes a client", here)
        if (lag ~ /^[0-9.]+$/) line = line sprintf("  late by %.1f µs (p99)", lag)
        wanted = ""; good = 1
        if (least != "-") { wanted = wanted sprintf(" %d/s", least); good = good && rate >= 0.99 * least }
        if (most != "-") { wanted = wanted sprintf(" %d bytes", most); good = good && here <= most }
        print line (wanted == "" ? "" : "   wanted" wanted ": " (good ? "yes" : "NO"))
        exit !good
    }' || failed=1
}

to_sink="pub -p $(cut -d: -f2 "$folder/sink") --max -s 16 --pubs 1"
messages "to the sink, QoS 0" 5000000 0.2 - $to_sink -q 0
messages "to the sink, QoS 1" 1000000 - - $to_sink -q 1 --inflight 1000
messages "to the sink, QoS 2" 500000 - - $to_sink -q 2 --inflight 1000
# What sending may cost, and what receiving may.
messages "sent, received, verified, QoS 0" - 0.45 - -p "$port" -q 0 --max -s 16 --pubs 1
messages "sent, received, verified, QoS 1" - - - -p "$port" -q 1 --max -s 16 --pubs 1
messages "sent, received, verified, QoS 2" - - - -p "$port" -q 2 --max -s 16 --pubs 1
messages "at 20,000/s" 20000 - 100 -p "$port" -q 0 --rate 20k --pubs 1 --duration 5s --runs 1
connections "come and go, 64 at a time" 20000 - churn --pubs 64 --duration 5s --runs 1
connections "come and go, when due" 20000 - churn --pubs 256 --rate 20k --duration 5s --runs 1
connections "15,000 come when due, and stay" 20000 6144 conn --subs 15000 --rate 20k -A 127.0.0.1,127.0.0.2 --runs 1
"$built/examples/crosscheck" || failed=1
exit $failed
