//! The commands of the tutorial and of the README are run, and print what the page shows.
//!
//! Commands are the lines of ```` ```console ```` blocks that begin with `$ `; what follows a command
//! is its output. All run in one shell, in a directory with the repository's `configs`. Times and
//! rates differ from run to run and are not compared. `SPOOR_BLESS=1` writes the output anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use common::pages::{page, path};
use regex::Regex;

const BEGIN: &str = "```console\n";
const END: &str = "\n```";
/// The port of the page.
const PORT: &str = "8080";
/// Comes between the outputs of two commands.
const MARK: &str = "@@ next command";

/// A command and what the page shows of its output.
struct Step {
    command: String,
    output: String,
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { command: command.into(), output: String::new() });
            }
            (None, Some(step)) => writeln!(step.output, "{line}").unwrap(),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    steps
}

/// Runs all commands in one shell; what each printed, both streams together.
fn run(commands: &[String]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    symlink(path("configs"), directory.path().join("configs")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut script = String::from("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for command in commands {
        writeln!(script, "{}\necho '{MARK}'", command.replace(PORT, &port)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_spoor")).parent().unwrap();
    let search = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(directory.path())
        .env("PATH", search)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace(&port, PORT);
    let outputs: Vec<String> =
        text.split(&format!("{MARK}\n")).map(|output| output.trim_end().to_owned()).collect();
    assert_eq!(outputs.len(), commands.len() + 1, "a command ended the shell:\n{text}");
    outputs
}

/// Without what differs from run to run.
fn comparable(text: &str) -> String {
    let differs = Regex::new(
        r#"in [0-9.]+ s|epoch [0-9]+|"epoch":[0-9]+|"seconds":[0-9.]+|"requests_per_second":[0-9.]+|"(epoch_token|epochToken)":"[^"]*""#,
    );
    differs.unwrap().replace_all(text.trim_end(), "…").into_owned()
}

/// Runs the commands of a page, of which there are at least so many.
fn check(name: &str, least: usize) {
    let text = page(name);
    let mut parts = text.split(BEGIN);
    let mut written = parts.next().unwrap().to_owned();
    let blocks: Vec<(Vec<Step>, &str)> = parts
        .map(|part| part.split_once(END).unwrap())
        .map(|(block, rest)| (steps(block), rest))
        .collect();
    let all: Vec<&Step> = blocks.iter().flat_map(|(steps, _)| steps).collect();
    assert!(all.len() >= least, "{name}: the commands are found");
    let commands: Vec<String> = all.iter().map(|step| step.command.clone()).collect();
    let printed = run(&commands);

    let mut outputs = printed.iter();
    for (steps, rest) in &blocks {
        written += BEGIN;
        let block = steps.iter().zip(&mut outputs).map(|(step, output)| {
            let command = format!("$ {}", step.command);
            // What is there is kept where only times differ.
            let is_same = comparable(output) == comparable(&step.output);
            let output = if is_same { step.output.trim_end() } else { output };
            if output.is_empty() { command } else { format!("{command}\n{output}") }
        });
        written += &block.collect::<Vec<_>>().join("\n");
        written += END;
        written += rest;
    }
    if std::env::var_os("SPOOR_BLESS").is_some() {
        std::fs::write(path(name), written).unwrap();
        return;
    }
    for (step, output) in all.iter().zip(&printed) {
        assert_eq!(comparable(output), comparable(&step.output), "{name}: $ {}", step.command);
    }
}

#[test]
fn the_commands_of_the_tutorial_print_what_it_shows() {
    check("docs/tutorial.md", 15);
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    check("README.md", 1);
}
