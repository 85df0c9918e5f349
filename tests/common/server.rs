//! A server under test: the real program on a free port of the loopback, spoken to in plain HTTP.
//!
//! Nothing here waits for a time to pass: it waits for an answer, and fails when there is none
//! before the deadline.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest that anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// What comes before the address in the log.
const GREETING: &str = "GraphQL at http://";

/// A running `spoor serve`. It is killed when it is dropped before it was stopped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// Its standard input, until it is closed.
    pub stdin: Option<ChildStdin>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    pub body: Value,
}

/// Reads the log of a server to its end, so that the program never waits for that: where it
/// listens, as soon as it says so, and all of it in the end.
pub fn read_log(stderr: ChildStderr) -> (mpsc::Receiver<String>, JoinHandle<String>) {
    let (found, address) = mpsc::channel();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            let after = line.split_once(GREETING).and_then(|(_, after)| after.split_once('/'));
            if let Some((address, _)) = after {
                let _ = found.send(address.to_owned());
            }
            log += &line;
            log.push('\n');
        }
        log
    });
    (address, log)
}

impl Server {
    /// Starts one over a store and waits until it listens.
    pub fn start(state: &Path, args: &[&str]) -> Self {
        Self::start_with(state, args, &[])
    }

    /// The same, with variables in its environment.
    pub fn start_with(state: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoor"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state).args(args);
        Self::run(command.envs(environment.iter().copied()))
    }

    /// Starts one that may have so many files and connections open.
    pub fn start_limited(state: &Path, descriptors: u32) -> Self {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {descriptors}; exec \"$@\"");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_spoor")]);
        command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state);
        Self::run(&mut command)
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("its log is a pipe");
        let (address, _) = read_log(stderr);
        let stdin = child.stdin.take();
        let address = address.recv_timeout(DEADLINE).expect("it says where it listens");
        Self { child, address, stdin }
    }

    /// Its number among the processes of the machine.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Opens a connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        stream
    }

    /// The head of a request that announces a body.
    pub fn head(&self, path: &str, bytes: usize) -> String {
        self.head_with(path, "", bytes)
    }

    /// The same with further header lines.
    fn head_with(&self, path: &str, headers: &str, bytes: usize) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\
             content-type: application/json\r\ncontent-length: {bytes}\r\n\r\n",
            self.address
        )
    }

    /// Posts a body and reads the answer.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, "", body)
    }

    /// The same with further header lines, each with its end.
    pub fn post_with(&self, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = self.connect();
        let request = [&self.head_with(path, headers, body.len()), body].concat();
        stream.write_all(request.as_bytes()).expect("it reads the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer {
            status: status.expect("an answer has a status"),
            head: head.to_ascii_lowercase(),
            body: match body {
                "" => Value::Null,
                body => serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}")),
            },
        }
    }

    /// The data of a query that must succeed.
    pub fn query(&self, query: &str) -> Value {
        let mut answer = self.post("/graphql", &json!({ "query": query }).to_string());
        assert_eq!(answer.body["errors"], Value::Null, "{query}: {}", answer.body);
        answer.body["data"].take()
    }

    /// Asks until the data is as expected; answers it.
    pub fn until(&self, query: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let data = self.query(query);
            if holds(&data) {
                return data;
            }
            assert!(begin.elapsed() < DEADLINE, "{what}: {data}");
            std::thread::sleep(POLL);
        }
    }

    /// Tells it to stop, as an operator does, and waits; answers its exit status.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(told.success());
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(begin.elapsed() < DEADLINE, "it does not stop");
            std::thread::sleep(POLL);
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
