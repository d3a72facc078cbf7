//! The program as people start it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{client::Client, file, lines};

fn start(arguments: &[&str]) -> (Child, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_balm-cloud"));
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("the program");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    (child, serde_json::from_str(&line).expect("JSON"))
}

#[tokio::test]
async fn the_program_says_where_it_is_serves_logs_and_ends_when_told() {
    let path = file("program");
    let log = path.to_str().expect("a path");
    let arguments = ["--seed", "7", "--account", "123456789012", "--log", log, "--service", "prod/web=4"];
    let (mut child, first) = start(&[&arguments[..], &["--start-lag-ms", "0..0", "--no-read-log"]].concat());
    let address = first["address"].as_str().and_then(|address| address.strip_prefix("http://")).expect("an address");
    let mut client = Client::connect(address.parse().expect("an address")).await;
    assert_eq!(client.describe().await["runningCount"], 4);
    assert_eq!(client.scale(6).await.expect("an answer").status, 200);
    assert_eq!(lines(&path).len(), 1);
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(told.success() && child.wait().expect("an end").success());
}

#[test]
fn the_program_refuses_what_it_cannot_do() {
    for wrong in [
        ["--listen", "0.0.0.0:0"],
        ["--account", "12"],
        ["--service", "web=4"],
        ["--group", "fleet=4"],
        ["--group", "fleet=5/4/6"],
        ["--start-lag-ms", "9..1"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_balm-cloud")).args(wrong).output().expect("the program");
        assert!(!output.status.success() && output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
}
