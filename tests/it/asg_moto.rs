//! Auto Scaling against moto, an AWS that is not ours: what the host says that it did has happened *there*.
//!
//! moto knows no instance refreshes (5.2.5 answers 500), so a relay stands before it that answers the one question about
//! them with none, and hands on everything else as it came.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use balm_core::record::{Fact, IntentEnd};
use balm_tests::{
    REPLACE_UNHEALTHY_INSTANCE, SCALE_ASG,
    harness::{
        Dir,
        cloud::group_arn,
        grafana::{Alert, body},
        host::Files,
        http,
        moto::{Moto, PROGRAM},
        wait,
    },
};

/// The server starts in seconds, and imports a service when it is first asked.
const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn a_group_of_another_aws_is_scaled_and_its_unhealthy_instance_replaced() {
    let Some(moto) = Moto::start("asg-moto-server", 0) else {
        println!("skipped: {PROGRAM} names no moto_server; `cargo xtask test` installs one and sets it");
        return;
    };
    moto.create_group("fleet", 4);
    let files = files(&relay(moto.endpoint().trim_start_matches("http://").to_owned()));
    let host = files.start();
    host.accept(&body(&[Alert::firing("HighCpu", "fleet", 1)]));
    wait_for_verified(&files, 1);
    assert_eq!(moto.instances("fleet").len(), 6);
    let sick = moto.instances("fleet").into_iter().next().expect("an instance");
    moto.sicken(&sick);
    host.accept(&body(&[Alert::firing("Unhealthy", "fleet", 2)]));
    wait_for_verified(&files, 2);
    let instances = moto.instances("fleet");
    assert!(instances.len() == 6 && !instances.contains(&sick), "{sick} among {instances:?}");
    host.stop();
}

fn files(endpoint: &str) -> Files {
    let files = Files::new(Dir::new("asg-moto-host"), endpoint);
    let target = group_arn("fleet");
    let policy = |name: &str, plugin: &str, alert: &str, settings: &str| {
        format!(
            "[[policy]]\nname = \"{name}\"\nplugin = \"{plugin}\"\nmode = \"enforce\"\ntargets = [\"{target}\"]\n\
             match = {{ source = \"grafana\", labels = {{ alertname = \"{alert}\" }} }}\nsettings = {settings}\n\n"
        )
    };
    let policies = policy("load", "scale-asg", "HighCpu", "{ minimum = 2, maximum = 12 }")
        + &policy("health", "replace-unhealthy-instance", "Unhealthy", "{}");
    files.edit("balm.toml", |text| {
        let (host, _) = text.split_once("[[policy]]").expect("a policy");
        // moto imports what it needs when it is first asked.
        format!("{}{policies}", host.replace("call-timeout = \"1s\"", "call-timeout = \"20s\""))
    });
    files.write("guardrails/web.cedar", "permit(principal, action, resource is Group);\n");
    for (name, component) in [("scale-asg", SCALE_ASG), ("replace-unhealthy-instance", REPLACE_UNHEALTHY_INSTANCE)] {
        fs::copy(component, files.path(&format!("plugins/{name}.wasm"))).expect("the plugin can be copied");
    }
    files
}

fn wait_for_verified(files: &Files, count: usize) {
    let ends = wait::until("intents to end", WITHIN, || {
        let end = |fact| if let Fact::IntentEnded(ended) = fact { Some((ended.how, ended.why)) } else { None };
        let ends: Vec<(IntentEnd, String)> = files.facts().into_iter().filter_map(end).collect();
        (ends.len() >= count).then_some(ends)
    });
    assert!(ends.iter().all(|(how, _)| *how == IntentEnd::Verified), "{ends:?}");
}

/// What stands before moto; its address. It lives as long as the tests do.
fn relay(moto: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let moto = moto.clone();
            thread::spawn(move || while relay_one(&stream, &moto).is_ok() {});
        }
    });
    format!("http://{address}")
}

/// One request and its answer. An error is the end of the connection.
fn relay_one(stream: &TcpStream, moto: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(std::io::Error::other)?,
            "host" | "connection" => {}
            _ => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, answer) = if body.starts_with(b"Action=DescribeInstanceRefreshes&") {
        (200, NO_REFRESHES.to_owned())
    } else {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = http::post(moto, "/", &headers, &body)?;
        (answer.status, answer.body)
    };
    let mut out = stream;
    write!(out, "HTTP/1.1 {status} \r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())
}

const NO_REFRESHES: &str = "<DescribeInstanceRefreshesResponse \
    xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><DescribeInstanceRefreshesResult><InstanceRefreshes/>\
    </DescribeInstanceRefreshesResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
    </DescribeInstanceRefreshesResponse>";
