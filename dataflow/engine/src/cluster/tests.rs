//! Hosts files, and meetings of processes that come, die, are silent or are somebody else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::limits::{HANDSHAKE_MAX, HANDSHAKES_MAX};
use super::meeting::Meeting;
use super::*;
use crate::startup::Startup;

const SECRET: &str = "0123456789abcdef";
/// Longest wait for anything; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_hosts_file_names_every_process_once() {
    let (hosts, secret) = parse("# two\n\na:1 # first\n b:2\n", 1).unwrap();
    assert_eq!((hosts.len(), hosts[1].as_str(), secret), (2, "b:2", None));
    // What follows a `#` is part of a secret.
    let (hosts, secret) = parse("secret = a#b \nsecretary:1", 0).unwrap();
    assert_eq!((hosts, secret), (vec!["secretary:1".to_owned()], Some("a#b")));
    for (text, process, reason) in [
        ("a:1\nb:2", 2, "no process 2"),
        ("", 0, "no process 0"),
        ("a:1\na:1", 0, "twice"),
        ("a", 0, "not host:port"),
        ("a:0", 0, "not host:port"),
        ("a:99999", 0, "not host:port"),
        ("secret = a\nsecret = b\na:1", 0, "two secrets"),
    ] {
        let found = parse(text, process).unwrap_err();
        assert!(found.contains(reason), "{text:?}: {found}");
    }
    let many: String = (0..=PROCESSES_MAX).map(|at| format!("h{at}:1\n")).collect();
    assert!(parse(&many, 0).unwrap_err().contains("at most"));
}

#[test]
fn processes_of_several_machines_need_a_secret_and_those_of_one_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.txt");
    let file = directory.path().join("hosts.txt.secret");
    let read = |text: &str, secret: Option<&str>| {
        std::fs::write(&path, text).unwrap();
        Membership::read(&path, 0, secret)
    };
    for remote in ["a:1\n127.0.0.1:2", "10.0.0.1:1", "[2001:db8::1]:1", "0.0.0.0:1"] {
        let refused = read(remote, None).unwrap_err().to_string();
        assert!(refused.contains(SECRET_VARIABLE) && refused.contains("secret ="), "{refused}");
        let refused = read(remote, Some("short")).unwrap_err().to_string();
        assert!(refused.contains("at least 16 bytes"), "{refused}");
        assert!(read(remote, Some(SECRET)).is_ok());
    }
    assert!(!file.exists(), "who has a secret needs no file");
    let local = "127.0.0.1:1\nlocalhost:2\n[::1]:3\n";
    let one = read(local, None).unwrap();
    assert_eq!(read(local, None).unwrap(), one, "the file is made once");
    // The environment comes before the hosts file, which comes before the file of this machine.
    let written = read(&format!("{local}secret = {SECRET}"), None).unwrap();
    let expected = ClusterSecret::new(SECRET).unwrap();
    assert_eq!((written.secret == expected, one.secret == expected), (true, false));
    let other = read(&format!("{local}secret = {SECRET}"), Some("fedcba9876543210")).unwrap();
    assert!(other.secret == ClusterSecret::new("fedcba9876543210").unwrap());
}

fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

fn membership(process: usize, hosts: &[String]) -> Membership {
    Membership::new(process, hosts.to_vec(), ClusterSecret::new(SECRET).unwrap())
}

/// Meets until all know what each says, as an engine does; what was said.
fn meet(process: usize, hosts: &[String], startup: &Startup) -> Vec<String> {
    let mut meeting = Meeting::open(&membership(process, hosts), startup).unwrap();
    loop {
        let said = meeting.gather().and_then(|()| {
            let said = meeting.exchange(&format!("I am {process}"))?;
            meeting.exchange(&()).map(|_| said)
        });
        match said {
            Ok(said) => break said,
            Err(ClusterError::Left(_)) => meeting.begin_again(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// All of them meet while somebody does something; what each heard.
fn all_meet(processes: usize, meanwhile: impl FnOnce(&[String])) {
    let hosts = free_addresses(processes);
    let begin = Instant::now();
    std::thread::scope(|threads| {
        let start = |process: usize| {
            let hosts = &hosts;
            threads.spawn(move || meet(process, hosts, &Startup::new()))
        };
        // The last to be called begins: whoever disturbs comes before the others.
        let first = start(0);
        while TcpStream::connect(&hosts[0]).is_err() {
            assert!(begin.elapsed() < PATIENCE, "it does not listen");
        }
        meanwhile(&hosts);
        let others: Vec<_> = (1..processes).rev().map(start).collect();
        let expected: Vec<_> = (0..processes).map(|at| format!("I am {at}")).collect();
        for thread in others.into_iter().chain([first]) {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

#[test]
fn processes_meet_in_any_order_whoever_else_connects() {
    all_meet(3, |_| {});
    all_meet(2, |hosts| {
        // Somebody who has nothing to do here, and somebody of the version before.
        for words in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"spoor/1\n\0\0\0\0\0\0\0\x01"] {
            let mut stranger = TcpStream::connect(&hosts[0]).unwrap();
            stranger.write_all(words).unwrap();
            stranger.write_all(&[0; 100]).unwrap();
            let mut told = Vec::new();
            // The connection may be reset.
            let _ = stranger.read_to_end(&mut told);
            assert!(told.len() <= 1, "a stranger is told nothing but that it is refused");
        }
    });
}

#[test]
fn silent_connections_hold_nobody_up() {
    let mut silent = Vec::new();
    let begin = Instant::now();
    all_meet(2, |hosts| {
        let connect = || TcpStream::connect(&hosts[0]).unwrap();
        silent.extend((0..2 * HANDSHAKES_MAX).map(|_| connect()));
    });
    // One after the other they would take their whole time.
    assert!(begin.elapsed() < HANDSHAKE_MAX * HANDSHAKES_MAX as u32);
}

#[test]
fn whoever_dies_before_all_know_the_same_is_met_again() {
    let hosts = free_addresses(3);
    let begin = Instant::now();
    std::thread::scope(|threads| {
        let start = |process: usize| {
            let hosts = &hosts;
            threads.spawn(move || meet(process, hosts, &Startup::new()))
        };
        let first = start(0);
        // One after the other dies: when all were there, and with or without having spoken.
        for dies in [2, 1, 2, 1] {
            let other = membership(3 - dies, &hosts);
            let (tell, told) = mpsc::channel();
            let lives = threads.spawn(move || {
                let mut meeting = Meeting::open(&other, &Startup::new()).unwrap();
                meeting.gather().unwrap();
                tell.send(()).unwrap();
                let left = meeting
                    .exchange(&"spoke".to_owned())
                    .and_then(|_| meeting.exchange(&()).map(drop));
                assert!(matches!(left, Err(ClusterError::Left(_))), "{left:?}");
            });
            let mut dying = Meeting::open(&membership(dies, &hosts), &Startup::new()).unwrap();
            dying.gather().unwrap();
            told.recv().unwrap();
            drop(dying);
            lives.join().unwrap();
        }
        let others = [start(2), start(1)];
        for thread in others.into_iter().chain([first]) {
            assert_eq!(thread.join().unwrap(), ["I am 0", "I am 1", "I am 2"]);
        }
    });
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn who_is_waited_for_is_said_and_the_wait_can_be_given_up() {
    let hosts = free_addresses(3);
    let startup = Startup::new();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            Meeting::open(&membership(1, &hosts), &startup).unwrap().gather().unwrap_err()
        });
        let expected = format!("process 0 ({}), process 2 ({})", hosts[0], hosts[2]);
        let begin = Instant::now();
        while !startup.phase().contains(&expected) {
            assert!(begin.elapsed() < PATIENCE, "{}", startup.phase());
            std::thread::yield_now();
        }
        startup.cancel();
        assert!(matches!(waiting.join().unwrap(), ClusterError::Cancelled));
    });
    // It listens no more.
    assert!(TcpListener::bind(&hosts[1]).is_ok());
}

#[test]
fn a_process_with_another_secret_is_not_met_and_both_say_so() {
    let hosts = free_addresses(2);
    let startups = [Startup::new(), Startup::new()];
    std::thread::scope(|threads| {
        let start = |process: usize, secret: &str| {
            let secret = ClusterSecret::new(secret).unwrap();
            let membership = Membership::new(process, hosts.clone(), secret);
            let startup = startups[process].clone();
            threads.spawn(move || Meeting::open(&membership, &startup).unwrap().gather())
        };
        let waiting = [start(0, SECRET), start(1, "fedcba9876543210")];
        let begin = Instant::now();
        while !startups[1].phase().contains("another secret") {
            assert!(begin.elapsed() < PATIENCE, "{}", startups[1].phase());
            std::thread::yield_now();
        }
        assert!(startups[0].phase().contains("process 1"));
        startups.iter().for_each(Startup::cancel);
        for waited in waiting {
            assert!(matches!(waited.join().unwrap(), Err(ClusterError::Cancelled)));
        }
    });
}

#[test]
fn the_port_is_free_for_the_next_meeting_and_closed_after_this_one() {
    let hosts = free_addresses(2);
    for _ in 0..2 {
        let connections = std::thread::scope(|threads| {
            let one = |process: usize| {
                let hosts = &hosts;
                threads.spawn(move || {
                    let mut meeting =
                        Meeting::open(&membership(process, hosts), &Startup::new()).unwrap();
                    meeting.gather().unwrap();
                    meeting.exchange(&()).unwrap();
                    meeting.close()
                })
            };
            [one(0), one(1)].map(|thread| thread.join().unwrap())
        });
        assert!(hosts.iter().all(|host| TcpStream::connect(host).is_err()));
        // The data connections carry bytes between the two.
        let watch = link::Watch::new(|_, _| {});
        let mut links: Vec<_> = Vec::new();
        let mut alive = Vec::new();
        for connections in connections {
            let (streams, heartbeats) = connections.into_links(&Arc::clone(&watch)).unwrap();
            links.extend(streams.into_iter().flatten());
            alive.push(heartbeats);
        }
        links[0].write_all(b"epoch").unwrap();
        let mut read = [0; 5];
        links[1].read_exact(&mut read).unwrap();
        assert_eq!(&read, b"epoch");
        watch.ended();
    }
}
