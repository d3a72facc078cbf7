//! A host: its files, its process, and its command line.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use balm_core::{
    line,
    record::{Fact, Record},
};
use serde_json::Value;

use super::{
    Dir,
    cloud::{self, ACCOUNT, REGION},
    http::{self, Answer},
    programs, socket, wait,
};
use crate::SCALE_ECS_SERVICE;

/// The token of the source `grafana`.
pub const TOKEN: &str = "s3cr3t-t0ken";

/// How long a host may take to be ready. In a build without optimisation it compiles plugins slowly.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// When a host that says nothing is given up.
const READY_MOST: Duration = READY_WITHIN.saturating_mul(3);

/// The files of a host: a configuration with everything, to be changed by a test where it matters.
#[derive(Debug)]
pub struct Files {
    dir: Dir,
}

/// A running host. It is killed when this goes.
#[derive(Debug)]
pub struct Host {
    child: Child,
    /// `host:port` of the listener for alerts.
    pub alerts: String,
    /// What it said of itself when it was ready.
    pub ready: Value,
    log: PathBuf,
}

/// Nothing, if a host that says this of itself has nothing under way and its audit database has all that its journal has.
///
/// # Errors
///
/// What it says, if it is not at rest.
pub fn at_rest(status: Value) -> Result<(), Value> {
    let at_rest = status["backlog"] == 0 && status["intents"] == 0 && status["seq"] == status["audit-seq"];
    if at_rest { Ok(()) } else { Err(status) }
}

impl Files {
    /// Files with a configuration, guardrails that permit `scale-ecs-service` everything within bounds, and the plugin.
    #[must_use]
    pub fn new(dir: Dir, endpoint: &str) -> Self {
        let files = Self { dir };
        for sub in ["plugins", "guardrails"] {
            fs::create_dir_all(files.path(sub)).expect("a directory can be made");
        }
        files.write("token", TOKEN);
        files.write("balm.toml", &configuration(endpoint, "enforce"));
        files.write("guardrails/web.cedar", RULES);
        files.write("guardrails/limits.toml", LIMITS);
        fs::copy(SCALE_ECS_SERVICE, files.path("plugins/scale-ecs-service.wasm")).expect("the plugin can be copied");
        files
    }

    /// Files with a source and nothing else: no plugin, no policy, no account.
    #[must_use]
    pub fn bare(dir: Dir) -> Self {
        let files = Self { dir };
        for sub in ["plugins", "guardrails"] {
            fs::create_dir_all(files.path(sub)).expect("a directory can be made");
        }
        files.write("token", TOKEN);
        files.write("balm.toml", BARE);
        files
    }

    /// A directory whose files are there already.
    #[must_use]
    pub fn adopt(dir: Dir) -> Self {
        Self { dir }
    }

    /// A path below the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Write a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file can be written");
    }

    /// Put a file in place at once, as careful people do: written beside it, and renamed.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let part = self.path(&format!("{name}.part"));
        fs::write(&part, bytes).expect("a file can be written");
        fs::rename(part, self.path(name)).expect("a file can be renamed");
    }

    /// What the running host says of a plugin, or null.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Value {
        let plugins = socket::get(&self.data(), "/plugins").expect("the host answers");
        let plugin = plugins.as_array().and_then(|plugins| plugins.iter().find(|plugin| plugin["plugin"] == name));
        plugin.cloned().unwrap_or(Value::Null)
    }

    /// Change a file.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.path(name)).expect("the file can be read");
        self.write(name, &change(text));
    }

    /// Run `balm` with this configuration, to its end.
    #[must_use]
    pub fn balm(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("balm runs")
    }

    /// What `balm` prints, and that it succeeds.
    ///
    /// # Panics
    ///
    /// If it does not succeed.
    #[must_use]
    pub fn balm_says(&self, arguments: &[&str]) -> String {
        let output = self.balm(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "balm {arguments:?} failed: {said}{complained}");
        said
    }

    /// What `balm` says when it fails, on both outputs.
    ///
    /// # Panics
    ///
    /// If it succeeds, or ends in another way than by saying what is wrong.
    #[must_use]
    pub fn balm_fails(&self, arguments: &[&str]) -> String {
        let output = self.balm(arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "balm {arguments:?}: {said}");
        said
    }

    /// How the running host says it is.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.balm_says(&["status"])).expect("the status is JSON")
    }

    /// Wait until nothing is under way and the audit database has all that the journal has.
    pub fn wait_for_rest(&self) {
        wait::told("the host to be at rest", READY_WITHIN, || at_rest(self.status()));
    }

    /// The facts that the running host's audit database has so far.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let mut records = Vec::new();
        self.follow(&mut records);
        records.into_iter().map(|record| record.fact).collect()
    }

    /// Add to the first records of the running host those that follow them.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn follow(&self, records: &mut Vec<Record>) {
        loop {
            let (known, from) = (records.len(), (records.len() + 1).to_string());
            let tail = ["audit", "tail", "--json", "--no-follow", "--from", &from, "--most", "10000"];
            let record = |line: &str| line::read_json(line.as_bytes()).expect("a record").0;
            records.extend(self.balm_says(&tail).lines().map(record));
            if records.len() == known {
                return;
            }
        }
    }

    /// Start `balm` with this configuration, and go on.
    #[must_use]
    pub fn begin(&self, arguments: &[&str], output: Stdio) -> Child {
        self.command(arguments).stdout(output).spawn().expect("balm starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::balm());
        command
            .args(arguments)
            .env_clear()
            .env("BALM_CONFIG", self.path("balm.toml"))
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        command
    }

    /// Start a host and wait until it is ready.
    #[must_use]
    pub fn start(&self) -> Host {
        self.start_with(&[])
    }

    /// The same with further arguments.
    ///
    /// # Panics
    ///
    /// If the host ends before it is ready, with what it said.
    #[must_use]
    pub fn start_with(&self, arguments: &[&str]) -> Host {
        Self::ready(self.spawn(arguments)).expect("the host becomes ready")
    }

    /// The same, or what the host says that ends before it is ready.
    pub fn try_start(&self) -> Result<Host, String> {
        Self::ready(self.spawn(&[]))
    }

    /// The same below another program, which must become the host's process in the end.
    #[must_use]
    pub fn start_below(&self, program: &[&str]) -> Host {
        let program: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        self.try_start_below(&program).expect("the host becomes ready")
    }

    /// The same, or what the host says that ends before it is ready.
    pub fn try_start_below(&self, program: &[String]) -> Result<Host, String> {
        let serve = self.command(&["serve"]);
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).arg(serve.get_program()).args(serve.get_args());
        command
            .env_clear()
            .envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null());
        Self::ready(self.spawn_command(command))
    }

    fn ready(mut host: Host) -> Result<Host, String> {
        let out = host.child.stdout.take().expect("it is piped");
        let (tell, told) = sync_channel(1);
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line).map(|_| line);
            // Whoever waited may have given up.
            let _ = tell.send(read);
        });
        let Ok(line) = told.recv_timeout(READY_MOST) else {
            host.kill();
            return Err(format!("it is neither ready nor at its end after {} s: {}", READY_MOST.as_secs(), host.log()));
        };
        let line = line.expect("its output can be read");
        if line.is_empty() {
            let _ = host.child.wait();
            return Err(host.log());
        }
        host.ready = serde_json::from_str(&line).expect("one line of JSON");
        let alerts = host.ready["alerts"].as_str().expect("an address");
        let alerts = alerts.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address").0;
        host.alerts = alerts.into();
        Ok(host)
    }

    /// Start a host and do not wait.
    #[must_use]
    pub fn spawn(&self, arguments: &[&str]) -> Host {
        self.spawn_command(self.command(&[&["serve"], arguments].concat()))
    }

    fn spawn_command(&self, mut command: Command) -> Host {
        let log = self.path("balm.log");
        let errors = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("balm starts");
        Host { child, alerts: String::new(), ready: Value::Null, log }
    }

    /// A host that refuses to start: what it says, and that it ends by itself.
    ///
    /// # Panics
    ///
    /// If it starts.
    #[must_use]
    pub fn refuses_to_start(&self) -> String {
        let mut command = self.command(&["serve"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("balm starts");
        // Either it says that it is ready, or its output ends with it.
        let mut ready = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut ready).expect("its output can be read");
        if !ready.is_empty() {
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(ready.is_empty(), "the host started: {ready}{said}");
        assert_eq!(output.status.code(), Some(1), "it ended without saying what is wrong: {said}");
        said
    }
}

impl Host {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Post a body as Grafana does.
    pub fn post(&self, body: &[u8]) -> std::io::Result<Answer> {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        http::post(&self.alerts, "/v1/alerts/grafana", &headers, body)
    }

    /// Post a body that must be accepted.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn accept(&self, body: &[u8]) {
        let answer = self.post(body).expect("the host answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and wait for the end in order.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    pub fn stop(mut self) {
        self.signal("TERM");
        let ended = wait::until("the host to end", Duration::from_secs(30), || self.child.try_wait().expect("a child"));
        assert!(ended.success(), "the host ended with {ended}: {}", self.log());
    }

    /// Send a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "the signal can be sent");
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long tests wait for a host to be ready.
#[must_use]
pub const fn ready_within() -> Duration {
    READY_WITHIN
}

const BARE: &str = r#"
listen = "127.0.0.1:0"

[source.grafana]
kind = "grafana"
token-file = "token"

[journal]
reserve-mib = 0
"#;

const RULES: &str = r#"permit(
    principal == Policy::"web-cpu",
    action in [Action::"ecs:scale-service", Action::"ecs:redeploy-service", Action::"ecs:stop-task"],
    resource in Cluster::"arn:aws:ecs:eu-central-1:123456789012:cluster/prod"
);
"#;

const LIMITS: &str = r#"
[[limit]]
scope = "target"
count = 100
window = "1h"

[[bound]]
minimum = 2
maximum = 12
step = 4

[opposes]
window = "0s"
"#;

/// A configuration with one policy, `web-cpu`, on service `web` of cluster `prod`.
#[must_use]
pub fn configuration(endpoint: &str, mode: &str) -> String {
    format!(
        r#"
listen = "127.0.0.1:0"

[source.grafana]
kind = "grafana"
token-file = "token"

[aws]
call-timeout = "1s"

[[aws.account]]
id = "{ACCOUNT}"
regions = ["{REGION}"]
endpoint = "{endpoint}"

[notifier.log]
kind = "log"

[journal]
reserve-mib = 0
{}"#,
        policy("web-cpu", "HighCpu", "web", mode)
    )
}

/// A policy of `scale-ecs-service` for a service, set off by alerts of a name.
#[must_use]
pub fn policy(name: &str, alert: &str, service: &str, mode: &str) -> String {
    format!(
        r#"
[[policy]]
name = "{name}"
plugin = "scale-ecs-service"
mode = "{mode}"
targets = ["{}"]

[policy.match]
source = "grafana"
labels = {{ alertname = "{alert}" }}

[policy.settings]
minimum = 2
maximum = 12
out-step = 2
in-step = 2
out-pause = 60
in-pause = 1
"#,
        cloud::arn(service)
    )
}

/// Where other files of a test go.
#[must_use]
pub fn beside(files: &Files) -> &Path {
    files.dir.path()
}
