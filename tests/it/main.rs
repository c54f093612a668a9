//! Every test that needs the whole: one binary, a file a command or kind.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

#[cfg(target_os = "linux")]
mod bad_input;
#[cfg(target_os = "linux")]
mod broker_access;
#[cfg(target_os = "linux")]
mod broker_bridges;
#[cfg(target_os = "linux")]
mod broker_bridges_choices;
#[cfg(target_os = "linux")]
mod broker_bridges_ways;
#[cfg(target_os = "linux")]
mod broker_bridges_words;
mod broker_control;
mod broker_core;
#[cfg(target_os = "linux")]
mod broker_directives;
#[cfg(target_os = "linux")]
mod broker_http;
#[cfg(target_os = "linux")]
mod broker_listeners;
mod broker_listeners_ends;
mod broker_listeners_rules;
#[cfg(target_os = "linux")]
mod broker_log;
mod broker_rates;
#[cfg(target_os = "linux")]
mod broker_rights;
mod broker_scram;
mod broker_sys;
mod client_cuts;
mod client_layer;
mod client_patience;
#[cfg(feature = "psk")]
mod client_psk;
mod client_repairs;
mod client_repairs_bytes;
#[cfg(feature = "srv")]
mod client_srv;
mod client_transports;
mod client_unsaid;
mod codec_differential;
mod codec_roundtrip;
#[cfg(unix)]
mod commands_bad_input;
mod commands_bench;
mod commands_bench_agents;
mod commands_bench_check;
mod commands_bench_comeback;
mod commands_bench_faults;
mod commands_bench_live;
mod commands_bench_load;
mod commands_bench_page;
mod commands_bench_schema;
mod commands_bench_words;
#[cfg(unix)]
mod commands_broker_words;
#[cfg(target_os = "linux")]
mod commands_expect;
#[cfg(unix)]
mod commands_live;
#[cfg(target_os = "linux")]
mod commands_mosquitto;
#[cfg(target_os = "linux")]
mod commands_mosquitto_reload;
#[cfg(unix)]
mod commands_passwd;
#[cfg(target_os = "linux")]
mod commands_ping;
#[cfg(unix)]
mod commands_pub;
#[cfg(unix)]
mod commands_pub_made;
#[cfg(target_os = "linux")]
mod commands_record;
#[cfg(unix)]
mod commands_remedies;
#[cfg(unix)]
mod commands_rr;
#[cfg(unix)]
mod commands_settings;
#[cfg(unix)]
mod commands_signal;
#[cfg(unix)]
mod commands_sub;
#[cfg(unix)]
mod commands_sub_shown;
mod commands_top;
#[cfg(target_os = "linux")]
mod commands_words;
#[cfg(unix)]
mod compare_argv;
#[cfg(target_os = "linux")]
mod compare_broker;
mod compare_conf;
mod compare_log;
#[cfg(target_os = "linux")]
mod compare_wire;
mod conf_language;
#[cfg(target_os = "linux")]
mod examples;
#[cfg(target_os = "linux")]
mod faults;
mod fuzz_corpus;
mod generated;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(unix)]
mod mutants;
#[cfg(target_os = "linux")]
mod packaging;
mod packets;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod secrets;
mod simulation;
mod simulation_runs;
mod spec;
mod store;
mod support;
mod tidy;
mod tls_records;
#[cfg(target_os = "linux")]
mod web_pages;
