//! Says which compiler builds this for which target: part of what the optional abomonation codec
//! compares before it takes bytes for its own.

use std::process::Command;

fn main() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("-vV").output().ok().map(|output| output.stdout);
    let version = version.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let version = version.lines().collect::<Vec<_>>().join("; ");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=SPOOR_BUILD={version}; {target}");
    println!("cargo:rerun-if-changed=build.rs");
}
