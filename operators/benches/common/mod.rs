//! What the benches of the operators share: options from the environment, and the machine's load,
//! printed with every figure because on a shared machine it is half of what the figure says.

#![allow(dead_code, reason = "each bench uses its part")]

/// The option `SPOOR_BENCH_` and `name`, at least 1.
pub fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("SPOOR_BENCH_{name}")).ok();
    text.map_or(default, |text| text.parse().expect("an option is a number")).max(1)
}

/// What the machine does besides: averages over 1, 5 and 15 minutes.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
