//! Commands whose standard output nobody reads, or that cannot be written.

use std::{
    fs::File,
    process::{Command, Output, Stdio},
};

use balm_tests::harness::{
    Dir,
    host::{Files, Host},
    programs,
};

/// Run `balm` with an output.
fn balm(files: &Files, arguments: &[&str], output: Stdio) -> Output {
    let mut command = Command::new(programs::balm());
    command.args(arguments).env_clear().env("BALM_CONFIG", files.path("balm.toml")).stdin(Stdio::null());
    command.stdout(output).stderr(Stdio::piped()).output().expect("balm runs")
}

/// An output whose reader has gone before the first word.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn running(name: &str) -> (Files, Host) {
    let files = Files::bare(Dir::new(name));
    let host = files.start();
    (files, host)
}

/// Commands of each kind: of files, of the journal, and those that ask the host.
const COMMANDS: [&[&str]; 12] = [
    &["check"],
    &["guard", "schema"],
    &["credential", "ada", "--role", "viewer"],
    &["audit", "verify"],
    &["audit", "key"],
    &["audit", "tail", "--no-follow"],
    &["audit", "find"],
    &["audit", "export"],
    &["status"],
    &["reload"],
    &["completions", "bash"],
    &["man"],
];

#[test]
fn a_reader_that_has_gone_changes_neither_what_is_said_beside_nor_how_a_command_ends() {
    let (files, host) = running("closed-output");
    for command in COMMANDS {
        let read = balm(&files, command, Stdio::piped());
        let unread = balm(&files, command, gone());
        let said = String::from_utf8_lossy(&unread.stderr).into_owned();
        assert_eq!(unread.status.code(), read.status.code(), "{command:?}: {said}");
        assert_eq!(said, String::from_utf8_lossy(&read.stderr), "{command:?}");
    }
    host.stop();
}

#[test]
fn what_follows_the_journal_ends_when_its_reader_goes() {
    let (files, host) = running("closed-tail");
    let output = balm(&files, &["audit", "tail"], gone());
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    host.stop();
}

#[test]
fn what_a_command_is_to_do_is_done_also_when_nobody_reads_what_it_says() {
    let (files, host) = running("closed-deeds");
    let output = balm(&files, &["stop", "--why", "nobody reads"], gone());
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert_eq!(files.status()["stops"][0]["why"], "nobody reads");
    let to = files.path("kept").display().to_string();
    assert_eq!(balm(&files, &["backup", "--to", &to], gone()).status.code(), Some(0));
    let verified = balm(&files, &["audit", "verify", "--data", &to], Stdio::piped());
    assert!(verified.status.success(), "{verified:?}");
    let new = files.path("new").display().to_string();
    assert_eq!(balm(&files, &["init", &new], gone()).status.code(), Some(0));
    assert!(files.path("new/token").exists());
    host.stop();
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_in_words_after_the_deed() {
    let (files, host) = running("full-output");
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("Linux has it"));
    let commands = COMMANDS.iter().copied().chain([&["stop", "--why", "full"][..]]);
    for command in commands {
        let output = balm(&files, command, full());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("the standard output cannot be written: No space left on device"), "{command:?}: {said}");
    }
    assert_eq!(files.status()["stops"][0]["why"], "full");
    host.stop();
}

#[test]
fn a_host_whose_log_cannot_be_written_goes_on_and_ends_in_order() {
    let files = Files::bare(Dir::new("closed-log"));
    let host = files.start_below(&["sh", "-c", r#"exec "$@" 2>/dev/full"#, "sh"]);
    for _ in 0..3 {
        let answer = host.post(b"no JSON").expect("the host answers");
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    host.stop();
}
