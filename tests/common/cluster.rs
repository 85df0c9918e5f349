//! Real processes of the program, one or several, and a client to talk to them.
//!
//! Everything listens on loopback. A process that is dropped is killed. What a process says goes to
//! a file beside its store, and is shown when it does not do what a test waits for.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything; reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Directories and addresses of a cluster of at most so many processes.
pub struct Site {
    pub dir: TempDir,
    config: PathBuf,
}

/// Addresses of the processes of a cluster.
pub struct Addresses {
    serving: Vec<String>,
    /// Those of the hosts file.
    pub between: Vec<String>,
    hosts: PathBuf,
}

/// A running process.
pub struct Process {
    child: Child,
    pub address: String,
    log: PathBuf,
}

/// Addresses nobody listens on.
pub fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
        .collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    listeners.iter().map(address).collect()
}

impl Site {
    /// With this configuration for all processes.
    pub fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().expect("there is room for a test");
        let file = dir.path().join("spoor.toml");
        std::fs::write(&file, config).expect("the file can be written");
        Self { dir, config: file }
    }

    /// The store of a process.
    pub fn store(&self, process: usize) -> PathBuf {
        self.dir.path().join(format!("state-{process}"))
    }

    /// Addresses for the processes of a cluster, for clients and between them.
    pub fn addresses(&self, processes: usize) -> Addresses {
        let mut serving = free_addresses(2 * processes);
        let between = serving.split_off(processes);
        let hosts = self.dir.path().join("hosts.txt");
        std::fs::write(&hosts, between.join("\n")).expect("the file can be written");
        Addresses { serving, between, hosts }
    }

    /// Starts one of them, perhaps again; `more` gives arguments and environment.
    pub fn start_one(
        &self,
        addresses: &Addresses,
        process: usize,
        workers: usize,
        more: impl FnOnce(&mut Command),
    ) -> Process {
        let log = self.dir.path().join(format!("log-{process}.txt"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.expect("the log can be written");
        let address = addresses.serving[process].clone();
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoor"));
        command.args(["serve", "--listen", &address]);
        command.args(["--workers", &workers.to_string()]);
        command.arg("--config").arg(&self.config);
        command.arg("--state").arg(self.store(process));
        if addresses.serving.len() > 1 {
            command.arg("--hosts").arg(&addresses.hosts);
            command.args(["--process", &process.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        more(&mut command);
        Process { child: command.spawn().expect("the program starts"), address, log }
    }

    /// Starts all of them; `more` gives arguments and environment of each.
    pub fn start(
        &self,
        processes: usize,
        workers: usize,
        more: impl Fn(usize, &mut Command),
    ) -> Vec<Process> {
        let addresses = self.addresses(processes);
        let start = |at| self.start_one(&addresses, at, workers, |command| more(at, command));
        (0..processes).map(start).collect()
    }
}

impl Process {
    /// Waits until it is ready, or has ended. Whether it is ready.
    pub fn wait_ready(&mut self) -> bool {
        self.wait_for("/readyz", |status, _| status == 200)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it has ended.
    pub fn wait_end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end:\n{}", self.said());
            std::thread::sleep(LOOK);
        }
    }

    /// Kills it: it gets no chance to do anything about it.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal cannot be sent");
    }

    /// Asks until it answers a `GET` as expected, or has ended. Whether it does.
    pub fn wait_for(&mut self, path: &str, expected: impl Fn(u16, &str) -> bool) -> bool {
        let (begin, mut last) = (Instant::now(), None);
        while self.ended().is_none() {
            if let Ok((status, said)) = get(&self.address, path) {
                if expected(status, &said) {
                    return true;
                }
                last = Some((status, said));
            }
            assert!(begin.elapsed() < PATIENCE, "{path}: {last:?}:\n{}", self.said());
            std::thread::sleep(LOOK);
        }
        false
    }

    /// The end of what it has said.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(3000);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// Runs a GraphQL operation.
    pub fn graphql(&self, query: &str, variables: &Value) -> io::Result<Value> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let (status, answer) =
            post(&self.address, "/graphql", "application/json", body.as_bytes())?;
        let answer: Value = serde_json::from_str(&answer).map_err(io::Error::other)?;
        if status != 200 || !answer["errors"].is_null() {
            return Err(io::Error::other(format!("{status}: {answer}")));
        }
        Ok(answer["data"].clone())
    }

    /// Pushes lines; what was answered, if they were taken.
    pub fn push(&self, lines: &str) -> io::Result<Value> {
        let (status, answer) =
            post(&self.address, "/v1/requests", "application/x-ndjson", lines.as_bytes())?;
        match status {
            // 422: it was committed, and nothing of it was good (its day is gone by now).
            200 | 422 => serde_json::from_str(&answer).map_err(io::Error::other),
            _ => Err(io::Error::other(format!("{status}: {answer}"))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Stops all by asking one, and waits until they have ended well.
pub fn stop(mut processes: Vec<Process>) {
    processes[0].terminate();
    for process in &mut processes {
        let status = process.wait_end();
        assert!(status.success(), "{status}:\n{}", process.said());
    }
}

/// `GET`: status and body.
pub fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n").as_bytes(), b"")
}

/// `POST`: status and body.
pub fn post(address: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<(u16, String)> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\n\
         content-length: {length}\r\n"
    );
    exchange(address, head.as_bytes(), body)
}

fn exchange(address: &str, head: &[u8], body: &[u8]) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[head, b"connection: close\r\n\r\n", body].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(cut());
    }
    Ok((status, body.to_owned()))
}

/// Appends to a file.
pub fn append(path: &Path, text: &str) {
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the file can be written");
}
