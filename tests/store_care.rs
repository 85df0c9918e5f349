//! The program and its store on a real disk: full, read-only, in use, backed up while it runs.
//!
//! A full disk is made in two ways: a limit on the size of files, which everybody may set, and a
//! small file system in memory, where this user may mount one. What a push was answered for must be
//! there afterwards, and the store must be whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::server::read_log;
use serde_json::Value;

/// The longest that anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Requests of one push.
const LINES: u64 = 1000;
/// Pushes that fill any disk of these tests.
const PUSHES_MAX: u64 = 400;
/// Whoever owns nothing.
const NOBODY: u32 = 65_534;

const SPOOR: &str = env!("CARGO_BIN_EXE_spoor");

/// A running `spoor serve`.
struct Server {
    child: Child,
    address: String,
    log: JoinHandle<String>,
}

impl Server {
    /// Starts one and waits until it listens, or has ended.
    fn start(mut command: Command) -> Result<Self, (ExitStatus, String)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("its log is a pipe");
        let (address, log) = read_log(stderr);
        match address.recv_timeout(DEADLINE) {
            Ok(address) => Ok(Self { child, address, log }),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = child.wait().expect("it ends");
                Err((status, log.join().expect("its log is read")))
            }
        }
    }

    /// Sends a request; none when the connection breaks.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Pushes requests; the number that was acknowledged, if it was answered well.
    fn push(&self, round: u64) -> Result<u64, Option<u16>> {
        let mut body = String::new();
        for line in 0..LINES {
            let number = round * LINES + line;
            // Text that no compression makes small.
            let noise: String =
                (0..8).map(|part| format!("{:016x}", scattered(number * 8 + part))).collect();
            body += &format!(
                "{{\"id\":\"r{number}\",\"ts\":{},\"method\":\"GET\",\"host\":\"h\",\
                 \"path\":\"/{noise}\",\"status\":200,\"ip\":\"10.0.{}.{}\"}}\n",
                now_ms(),
                number % 7,
                number % 250
            );
        }
        match self.ask("POST", "/v1/requests", &body) {
            Some((200, answer)) => {
                let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
                Ok(answer["counts"]["accepted"].as_u64().expect("a number"))
            }
            other => Err(other.map(|(status, _)| status)),
        }
    }

    fn requests(&self) -> u64 {
        let query = r#"{"query":"{ status { requests } }"}"#;
        let (_, answer) = self.ask("POST", "/graphql", query).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        let requests = &answer["data"]["status"]["requests"];
        let text = requests.as_str().map(str::to_owned).unwrap_or_else(|| requests.to_string());
        text.parse().unwrap_or_else(|_| panic!("{answer}"))
    }

    /// Waits for its end: status and log.
    fn ended(mut self) -> (ExitStatus, String) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return (status, self.log.join().expect("its log is read"));
            }
            assert!(begin.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(POLL);
        }
    }

    /// Kills it: what it committed last is in its log.
    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.ended();
    }

    fn stop(self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        let (status, log) = self.ended();
        assert!(status.success(), "{log}");
    }
}

fn now_ms() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis()
}

fn scattered(number: u64) -> u64 {
    let mut x = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn serve(state: &Path) -> Command {
    let mut command = Command::new(SPOOR);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state);
    command
}

/// With a limit on the size of files, in blocks of 512 or 1,024 bytes; writes beyond it fail.
fn limited(state: &Path, blocks: u32) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, SPOOR, "serve", "--listen", "127.0.0.1:0", "--state"]).arg(state);
    command
}

fn run(args: &[&str]) -> Output {
    Command::new(SPOOR).args(args).output().expect("the program runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A command that must succeed; what it says.
fn good(args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("it says text")
}

/// A command that must fail with one line; that line.
fn bad(args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
    errors.lines().last().unwrap_or_default().to_owned()
}

/// Pushes until the disk is full, then restarts without room and with.
fn check_full_disk(
    full: impl Fn() -> Command,
    no_room: impl FnOnce() -> Command,
    state: &Path,
    lift: impl FnOnce(),
) {
    let server = Server::start(full()).map_err(|(_, log)| log).expect("it starts");
    let mut acknowledged = 0;
    let mut failed = None;
    for round in 0..PUSHES_MAX {
        match server.push(round) {
            Ok(count) => acknowledged += count,
            Err(status) => {
                failed = Some(status);
                break;
            }
        }
    }
    let failed = failed.expect("the disk is full in the end");
    assert!(matches!(failed, Some(503) | None), "{failed:?}");
    // From then on, until it has ended, it says why.
    let begin = Instant::now();
    while matches!(server.ask("GET", "/readyz", ""), Some((200, _))) {
        assert!(begin.elapsed() < DEADLINE, "it failed, and says that it is ready");
        std::thread::sleep(POLL);
    }
    for path in ["/readyz", "/healthz"] {
        if let Some((status, said)) = server.ask("GET", path, "") {
            assert!(status == 503 && said.contains("no room"), "{path} {status} {said}");
        }
    }
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(1), "a supervisor is to restart it: {log}");
    assert!(log.contains("there is no room for the store"), "{log}");
    assert!(acknowledged > 0, "{log}");

    let (status, log) = Server::start(no_room()).map(|_| ()).expect_err("there is still no room");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("no room") && log.contains("make room"), "{log}");

    lift();
    good(&["store", "check", "--store", text(state)]);
    let server = Server::start(serve(state)).map_err(|(_, log)| log).expect("it starts again");
    let there = server.requests();
    assert!((acknowledged..=acknowledged + LINES).contains(&there), "{acknowledged} {there}");
    assert_eq!(server.push(PUSHES_MAX + 1), Ok(LINES));
    server.stop();
    good(&["verify", "--state", text(state)]);
}

#[test]
fn a_limit_on_files_stops_it_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    check_full_disk(|| limited(&state, 8192), || limited(&state, 0), &state, || {});
}

/// A file system of its own, gone with this.
struct Mount(PathBuf);

impl Mount {
    fn new(dir: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(dir).expect("a directory");
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "spoor"]).arg(dir);
        let mounted = mount.stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir.to_owned()))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_file_system_stops_it_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("disk");
    let Some(mount) = Mount::new(&place, "24m") else {
        eprintln!("SKIPPED: this user may not mount a file system");
        return;
    };
    let (state, filler) = (place.join("state"), place.join("filler"));
    let fill = || {
        let mut file = std::fs::File::create(&filler).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
        serve(&state)
    };
    check_full_disk(
        || serve(&state),
        fill,
        &state,
        || {
            std::fs::remove_file(&filler).expect("it is there");
            mount.resize("512m");
        },
    );
}

#[test]
fn a_running_server_is_backed_up_and_the_copy_serves_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let [state, backup, other] = ["state", "backup", "other"].map(|name| dir.path().join(name));
    let server = Server::start(serve(&state)).map_err(|(_, log)| log).expect("it starts");
    assert_eq!(server.push(0), Ok(LINES));
    let pid = format!("process {}", server.child.id());

    let said = good(&["store", "backup", "--store", text(&state), "--to", text(&backup)]);
    assert!(said.starts_with("backed up epoch"), "{said}");
    assert_eq!(server.push(1), Ok(LINES));
    let info: Value =
        serde_json::from_str(&good(&["store", "info", "--store", text(&state), "--json"]))
            .expect("JSON");
    assert_eq!(
        (&info["requests"], &info["in_use_by"]),
        (&(2 * LINES).into(), &server.child.id().into())
    );
    for args in [
        &["serve", "--listen", "127.0.0.1:0", "--state", text(&state)][..],
        &["store", "check", "--store", text(&state)],
        &["store", "compact", "--store", text(&state)],
        &["verify", "--state", text(&state)],
    ] {
        let said = bad(args);
        assert!(said.contains("in use by another process") && said.contains(&pid), "{said}");
    }
    let said = bad(&["store", "restore", "--from", text(&backup), "--store", text(&state)]);
    assert!(said.contains("is not empty"), "{said}");

    good(&["store", "restore", "--from", text(&backup), "--store", text(&other)]);
    good(&["store", "check", "--store", text(&other)]);
    good(&["verify", "--state", text(&other)]);
    let restored = Server::start(serve(&other)).map_err(|(_, log)| log).expect("it starts");
    assert_eq!((restored.requests(), server.requests()), (LINES, 2 * LINES));
    restored.stop();
    server.stop();
    let said = good(&["store", "compact", "--store", text(&state)]);
    assert!(said.contains("bytes before"), "{said}");
    let said = good(&["store", "info", "--store", text(&state)]);
    assert!(said.contains("in use          no"), "{said}");
    assert!(said.contains("shape           process 0 of 1"), "{said}");
}

#[test]
fn a_damaged_store_is_refused_in_one_line_that_says_what_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let [state, saved] = ["state", "saved"].map(|name| dir.path().join(name));
    let server = Server::start(serve(&state)).map_err(|(_, log)| log).expect("it starts");
    for round in 0..3 {
        assert_eq!(server.push(round), Ok(LINES));
    }
    server.kill();
    let mut logs: Vec<_> = std::fs::read_dir(state.join("db"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let log = logs.last().expect("a log");
    let mut bytes = std::fs::read(log).expect("the log");
    let late = bytes.len() - bytes.len() / 8;
    bytes[late] ^= 1;
    std::fs::write(log, bytes).expect("the log can be written");

    let said = bad(&["serve", "--listen", "127.0.0.1:0", "--state", text(&state)]);
    assert!(said.contains("damaged") && said.contains("can still be read"), "{said}");
    let said = bad(&["store", "check", "--store", text(&state)]);
    assert!(said.contains("is damaged"), "{said}");
    let output = run(&["store", "check", "--store", text(&state), "--salvage-to", text(&saved)]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("saved epoch") && told.contains("lost are epochs"), "{told}");
    good(&["store", "check", "--store", text(&saved)]);
    good(&["verify", "--state", text(&saved)]);
}

#[test]
fn a_directory_that_cannot_be_written_is_said_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), open(0o755)).expect("it is ours");
    let [state, program] = ["state", "spoor"].map(|name| dir.path().join(name));
    good(&["replay", "--state", text(&state), "/dev/null"]);
    std::fs::copy(SPOOR, &program).expect("the program can be copied");
    for file in [&state, &state.join("db"), &program] {
        std::fs::set_permissions(file, open(0o555)).expect("it is ours");
    }
    let mut command = Command::new(&program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&state);
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if root {
        // Root may write anywhere.
        command.uid(NOBODY);
    }
    let output = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("cannot be written") && last.contains(text(&state)), "{said}");
    std::fs::set_permissions(&state, open(0o755)).expect("it is ours");
}
