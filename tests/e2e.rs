//! Clients of GraphQL that this project did not write, against the real program.
//!
//! The reference clients (Node): audits of GraphQL over HTTP, subscriptions that resume or are slow
//! to read, queries, mutations and pushes. And clients that generate or check code: Relay,
//! graphql-codegen, gql.tada, ariadne-codegen; Apollo, urql and Python gql run. All are pinned.
//!
//! And the console: whether its committed build is what its sources give, and whether it works in a
//! browser.
//!
//! The checks are in `e2e/`, those of the console in `graphql/console`; this runs them with the program
//! that was just built. Where there is no Node, or no Python with `venv`, it says so and checks nothing;
//! where they are and their packages cannot be installed, it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e")
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let ran = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

/// Runs a command that installs packages.
fn install(what: &str, command: &mut Command) {
    let done = command.status().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(done.success(), "{what} failed: are the npm and PyPI registries reachable from here?");
}

/// The packages of a directory as its lock file pins them. They are kept below the target directory,
/// where a later checkout finds them, and linked to from where Node looks for them.
fn node_modules(directory: &Path, name: &str) {
    let lock = std::fs::read(directory.join("package-lock.json")).expect("the lock file is there");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("node-{name}"));
    let installed = home.join("installed.json");
    if std::fs::read(&installed).ok().as_ref() != Some(&lock) {
        std::fs::create_dir_all(&home).expect("the target directory can be written to");
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(directory.join(file), home.join(file)).expect("the file can be copied");
        }
        let arguments = ["ci", "--no-audit", "--no-fund", "--silent", "--prefer-offline"];
        let what = format!("`npm ci` in {}", home.display());
        install(&what, Command::new("npm").args(arguments).current_dir(&home));
        std::fs::write(&installed, &lock).expect("the target directory can be written to");
    }
    let (packages, link) = (home.join("node_modules"), directory.join("node_modules"));
    if std::fs::read_link(&link).ok().as_ref() != Some(&packages) {
        let removed = std::fs::remove_file(&link).or_else(|_| std::fs::remove_dir_all(&link));
        drop(removed); // Often there was none; if it is in the way, linking fails.
        std::os::unix::fs::symlink(&packages, &link).expect("the packages can be linked to");
    }
}

/// The Python of an environment with pinned packages, kept below the target directory.
fn python(name: &str) -> PathBuf {
    let requirements = directory().join("python").join(format!("requirements-{name}.txt"));
    let wanted = std::fs::read(&requirements).expect("the requirements are there");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let (program, installed) = (home.join("bin/python"), home.join("installed.txt"));
    if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
        install("`python3 -m venv`", Command::new("python3").args(["-m", "venv"]).arg(&home));
        let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        install("`pip install`", Command::new(&program).args(arguments).arg(&requirements));
        std::fs::write(&installed, &wanted).expect("the environment can be written to");
    }
    program
}

fn run(node: &Path, script: &str, directory: &Path, environment: &[(&str, PathBuf)]) {
    let mut node = Command::new(node);
    node.arg(script).env("SPOOR", env!("CARGO_BIN_EXE_spoor")).current_dir(directory);
    node.envs(environment.iter().map(|(name, value)| (name, value)));
    let checked = node.status().expect("node runs");
    assert!(checked.success(), "a check failed; its output is above");
}

#[test]
fn the_reference_clients_are_content() {
    if !works("node", &["--version"]) {
        eprintln!("SKIPPED: there is no `node` here, so the API was checked by no client");
        return;
    }
    node_modules(&directory(), "reference");
    run(Path::new("node"), "run.mjs", &directory(), &[]);
}

#[test]
fn clients_that_generate_code_compile_and_run() {
    if !works("node", &["--version"]) || !works("python3", &["-c", "import ensurepip, venv"]) {
        eprintln!("SKIPPED: there is no `node`, or no `python3` with `venv`: see .ci/deps");
        return;
    }
    let clients = directory().join("clients");
    node_modules(&clients, "clients");
    let pythons = [("PYTHON_GQL", python("gql")), ("PYTHON_ARIADNE", python("ariadne"))];
    run(Path::new("node"), "run.mjs", &clients, &pythons);
}

/// A Node that builds the console: the machine's, or the one of the npm package `node` where that is
/// older, as Debian 12's is.
fn node_of_console() -> PathBuf {
    let check = "const [a, b] = process.versions.node.split('.'); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)";
    if works("node", &["-e", check]) {
        return "node".into();
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-22");
    let program = home.join("node_modules/.bin/node");
    if !program.exists() {
        std::fs::create_dir_all(&home).expect("the target directory can be written to");
        let arguments = ["install", "--no-audit", "--no-fund", "--silent", "--prefix"];
        install(
            "`npm install node`",
            Command::new("npm").args(arguments).arg(&home).arg("node@22"),
        );
    }
    program
}

#[test]
fn the_console_is_what_its_sources_give_and_works_in_a_browser() {
    if !works("node", &["--version"]) {
        eprintln!("SKIPPED: there is no `node` here, so the console was not checked");
        return;
    }
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphql/console");
    node_modules(&console, "console");
    run(&node_of_console(), "scripts/check.mjs", &console, &[]);
}
