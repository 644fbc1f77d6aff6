//! Starts that are refused, other programs on the ports, and idle connections.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::place::{PATIENCE, Place, said};

#[test]
fn of_two_started_together_one_runs_and_the_other_names_it() {
    let place = Place::new();
    let start = || {
        let args = ["dev", "--json", "--port", "0"];
        place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let mut both = [start(), start()];
    let begun = Instant::now();
    let loser = loop {
        let ended = both.iter_mut().position(|child| child.try_wait().expect("a status").is_some());
        if let Some(ended) = ended {
            break ended;
        }
        assert!(begun.elapsed() < PATIENCE, "both run");
        std::thread::sleep(Duration::from_millis(20));
    };
    let [first, second] = both;
    let (loser, mut winner) = if loser == 0 { (first, second) } else { (second, first) };
    let told = loser.wait_with_output().expect("it has ended");
    assert_eq!(told.status.code(), Some(1));
    assert!(said(&told).contains(&format!("process {}", winner.id())), "{}", said(&told));
    winner.kill().and_then(|()| winner.wait()).expect("killed");
}

#[test]
fn another_program_on_the_port_of_a_killed_service_is_not_mistaken_for_it() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let ports: Vec<String> =
        std::iter::once(dev.ready["nearest"].as_str().expect("a URL").replace("http://", ""))
            .chain((0..3).map(|region| dev.address(region)))
            .collect();
    dev.kill();
    let others: Vec<TcpListener> = ports.iter().filter_map(|port| TcpListener::bind(port).ok()).collect();
    assert!(!others.is_empty());
    for verb in [
        &["keys", "list", "--dev"][..],
        &["usage", "report", "--dev"],
        &["logs", "--dev"],
        &["probe", "--dev"],
    ] {
        let output = place.run(verb);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(said(&output).contains("is no longer running"), "{verb:?}: {}", said(&output));
    }
    let mut dev = place.dev(&[]);
    place.done(&["keys", "list", "--dev"]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
}

#[test]
fn what_cannot_work_is_refused_with_a_reason_and_a_remedy() {
    let place = Place::new();
    let mut dev = place.dev(&[]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
    let table: [(&[&str], i32, &[&str]); 6] = [
        (&["--port", "65533"], 2, &["4 ports are needed from 65533 on", "`--port 65532` or lower"]),
        (&["--shards", "0"], 2, &["--shards", "1..=100"]),
        (&["--log-lag-ms", "18446744073709551615"], 2, &["--log-lag-ms"]),
        (&["--replication-lag-ms", "18446744073709551615"], 2, &["--replication-lag-ms"]),
        (&["--caller", "10.0.0.1"], 2, &["10.0.0.1 is not a public IP address", "help: pass a public"]),
        (&["--caller", "::1"], 2, &["::1 is not a public IP address"]),
    ];
    for (args, status, told) in table {
        let output = place.run(&[&["dev"], args].concat());
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", said(&output));
        for text in told {
            assert!(said(&output).contains(text), "{args:?}: {}", said(&output));
        }
    }
    place.set_home("us-east-1");
    let output = place.run(&["dev", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    for text in ["home `eu-central-1`", "`us-east-1`", "--fresh"] {
        assert!(said(&output).contains(text), "{}", said(&output));
    }
    let mut dev = place.dev(&["--fresh"]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
}

#[test]
fn a_page_in_a_folder_that_is_not_there_is_refused_and_makes_no_folder() {
    let place = Place::new();
    let dev = place.dev(&[]);
    for verb in [
        &["usage", "report", "--dev", "--html", "nope/x.html"][..],
        &["probe", "--dev", "--html", "nope/x.html"],
    ] {
        let output = place.run(verb);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(said(&output).contains("there is no folder nope"), "{verb:?}: {}", said(&output));
    }
    let output = place.run(&["geo", "build", "--sample", "--out", "nope/x.mmdb"]);
    assert!(said(&output).contains("there is no folder nope"), "{}", said(&output));
    assert!(!place.0.path().join("nope").exists());
    drop(dev);
}

#[test]
fn idle_connections_block_no_client() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let mut open = Vec::new();
    for number in 0..700 {
        // This process may be allowed fewer files.
        match TcpStream::connect(dev.address(number % 3)) {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
    }
    open.truncate(open.len().saturating_sub(20));
    for region in 0..3 {
        let mut stream = TcpStream::connect(dev.address(region)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    eprintln!("{} idle connections, and all ports answer", open.len());
}
