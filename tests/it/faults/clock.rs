//! The machine's clock jumps by years, forth and back and before 1970, under the real broker and
//! between its lives: what it acknowledged stays, and QoS 2 stays exactly once.
//!
//! The jumps come from a few lines of C between the broker and the system's library, which the test
//! has to compile; without a C compiler this says so and ends. `MQTTX_JUMPS` says how many lives, ten
//! by default.

use std::cell::Cell;
use std::process::Command;

use crate::store::crash::kill_and_count;
use crate::support::broker_process::BrokerProcess;
use crate::support::shim;

/// The clock is ahead by as many seconds as the file `JUMP` says; that it was asked leaves `ASKED`.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*next)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = next(clock, at);
    if (clock != CLOCK_REALTIME) return done;
    long seconds = 0;
    FILE *jump = fopen(getenv("JUMP"), "r");
    if (jump != NULL && fscanf(jump, "%ld", &seconds) == 1) at->tv_sec += seconds;
    if (jump != NULL) fclose(jump);
    FILE *asked = fopen(getenv("ASKED"), "w");
    if (asked != NULL) fclose(asked);
    return done;
}
"#;

const HOUR: i64 = 3_600;
const YEAR: i64 = 8_766 * HOUR;

const JUMPS: [i64; 9] = [
    0,
    HOUR,
    -HOUR,
    10 * YEAR,
    -10 * YEAR,
    -60 * YEAR,
    1,
    100 * YEAR,
    -1,
];

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let lives = std::env::var("MQTTX_JUMPS").map_or(10, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = shim::compile(folder.path(), SHIM) else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    let [store, jump, asked] = ["store", "jump", "asked"].map(|name| folder.path().join(name));
    let count = Cell::new(0);
    let next = || {
        let seconds = JUMPS[count.replace(count.get() + 1) % JUMPS.len()];
        std::fs::write(&jump, seconds.to_string()).unwrap();
    };
    kill_and_count(lives, |sync, workers| {
        next();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        let words = format!("broker --port 0 -v --sync {sync} --workers {workers} --persistence");
        command.args(words.split(' ')).arg(&store);
        command.env("LD_PRELOAD", &library);
        command.env("JUMP", &jump).env("ASKED", &asked);
        let broker = BrokerProcess::start_as(command);
        next();
        broker
    });
    assert!(asked.exists(), "the broker has seen the jumps");
}
