//! What the benches share: options from the environment, made-up traffic, the machine's load.
//!
//! Every figure is printed with the load, because on a shared machine it is half of what the figure
//! says.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The option `SPOOR_BENCH_` and `name`, at least 1.
pub fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("SPOOR_BENCH_{name}")).ok();
    text.map_or(default, |text| text.parse().expect("an option is a number")).max(1)
}

/// What the machine does besides: averages over 1, 5 and 15 minutes.
pub fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Writes generated requests to a file.
pub fn generate(requests: u64, more: &[&str], log: &Path) {
    let file = File::create(log).expect("the log can be written");
    let made = Command::new(env!("CARGO_BIN_EXE_spoor"))
        .args(["generate", "--requests", &requests.to_string()])
        .args(more)
        .stdout(file)
        .status();
    assert!(made.expect("the program starts").success(), "the traffic cannot be made");
}

/// Addresses of the loopback that nobody listens on.
pub fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
        .collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    listeners.iter().map(address).collect()
}
