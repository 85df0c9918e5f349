//! The reference clients of GraphQL (Node) against the real program: audits of GraphQL over HTTP,
//! subscriptions that resume or are slow to read, queries, mutations and pushes.
//!
//! The checks are in `e2e/`; this runs them with the program that was just built. Where there is no
//! Node, it says so and checks nothing.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_reference_clients_are_content() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no `node` here, so the API was checked by no client");
        return;
    }
    if !dir.join("node_modules").exists() {
        let npm = ["ci", "--no-audit", "--no-fund", "--silent"];
        let installed = Command::new("npm").args(npm).current_dir(&dir).status().expect("npm runs");
        assert!(installed.success(), "`npm ci` in tests/e2e failed");
    }
    let checked = Command::new("node")
        .arg("run.mjs")
        .env("SPOOR", env!("CARGO_BIN_EXE_spoor"))
        .current_dir(&dir)
        .status()
        .expect("node runs");
    assert!(checked.success(), "a check failed; its output is above");
}
