//! Wrong input as an operator meets it: the host does not start, ends with code 1, and says of everything that is wrong
//! where it is and what to do. `balm check` says the same.

use std::{fs, net::TcpListener};

use balm_tests::harness::{Dir, host::Files};

/// An endpoint that nobody listens on: nothing is called before the configuration is right.
const NO_AWS: &str = "http://127.0.0.1:9";

fn files(name: &str) -> Files {
    Files::new(Dir::new(name), NO_AWS)
}

/// `file:line:` of the line that holds a text.
fn place(files: &Files, file: &str, text: &str) -> String {
    let path = files.path(file);
    let content = fs::read_to_string(&path).expect("the file can be read");
    let line = content.lines().position(|line| line.contains(text)).expect("the text is there") + 1;
    format!("{}:{line}: ", path.display())
}

/// Start and check: both say exactly these mistakes, each with its place.
fn says(files: &Files, mistakes: &[(&str, &str, &str)]) {
    for told in [files.refuses_to_start(), files.balm_fails(&["check"])] {
        for (file, text, what) in mistakes {
            let wanted = place(files, file, text) + what;
            assert!(told.contains(&wanted), "\n  wanted {wanted}\n  told   {told}");
        }
        let count = mistakes.len();
        let headline = format!("balm: {count} {} in the", if count == 1 { "mistake" } else { "mistakes" });
        assert!(told.starts_with(&headline), "{told}");
    }
    assert!(!files.data().exists(), "a configuration with mistakes touches nothing");
}

#[test]
fn all_mistakes_in_all_files_are_told_at_once_with_file_and_line() {
    let files = files("all-mistakes");
    files.edit("balm.toml", |text| {
        text.replace("listen = \"127.0.0.1:0\"", "listen = \"localhost\"\nlistn = 1")
            .replace("token-file = \"token\"", "token-file = \"tokn\"")
            .replace("call-timeout = \"1s\"", "call-timeout = \"1 second\"")
            .replace("mode = \"enforce\"", "mode = \"enforced\"")
    });
    files.write("guardrails/limits.toml", "[[limit]]\nscope = \"target\"\ncount = -1\nwindow = \"1h\"\n");
    files
        .write("guardrails/web.cedar", "permit(principal, action, resource);\n\nforbid(principal, action, resource)\n");
    let mistakes = [
        ("balm.toml", "listen =", "\"localhost\" is no address to listen on: write one with its port, as in"),
        ("balm.toml", "listn", "listn is no key; did you mean listen?"),
        ("balm.toml", "tokn", "in [source.grafana], token-file: "),
        ("balm.toml", "1 second", "in [aws], call-timeout is \"1 second\"; it must be a time from 100ms to 1m"),
        ("balm.toml", "enforced", "in [policy], mode is \"enforced\"; it must be one of off, shadow, suggest, enforce"),
        ("guardrails/limits.toml", "count", "in [limit], count must be from 0 to 1000000"),
        ("guardrails/web.cedar", "forbid", "unexpected end of input"),
    ];
    says(&files, &mistakes);
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    let files = files("unknown-key");
    files.edit("balm.toml", |text| text.replace("reserve-mib", "reserve-mb") + "\n[polcy]\n");
    let mistakes = [
        ("balm.toml", "reserve-mb", "in [journal], reserve-mb is no key; did you mean reserve-mib?"),
        ("balm.toml", "[polcy]", "polcy is no key; did you mean policy?"),
    ];
    says(&files, &mistakes);
}

#[test]
fn bad_toml_is_told_with_its_line_and_hides_no_other_mistake() {
    let files = files("bad-toml");
    files.edit("balm.toml", |text| {
        text.replace("name = \"web-cpu\"", "name = \"web-cpu").replace("kind = \"log\"", "kind = \"pager\"")
    });
    for told in [files.refuses_to_start(), files.balm_fails(&["check"])] {
        assert!(told.contains(&place(&files, "balm.toml", "name = \"web-cpu")), "{told}");
        assert!(told.contains(&(place(&files, "balm.toml", "pager") + "in [notifier.log], \"pager\"")), "{told}");
    }
}

#[test]
fn a_missing_secret_is_told_with_where_it_should_be() {
    let files = files("missing-secret");
    fs::remove_file(files.path("token")).expect("it is there");
    files.edit("balm.toml", |text| {
        text + "\n[source.other]\nkind = \"grafana\"\ntoken-env = \"BALM_TEST_UNSET\"\n\n[source.open]\nkind = \"grafana\"\n"
    });
    let absent =
        format!("in [source.grafana], token-file: {} cannot be read: No such file", files.path("token").display());
    let mistakes = [
        ("balm.toml", "token-file", absent.as_str()),
        ("balm.toml", "token-env", "in [source.other], token-env: the environment variable BALM_TEST_UNSET is not set"),
        ("balm.toml", "[source.open]", "in [source.open], a source needs a credential: write token-file, user and"),
    ];
    says(&files, &mistakes);
    files.write("token", "\n");
    assert!(files.refuses_to_start().contains("token-file names an empty secret"));
}

#[test]
fn invalid_and_ill_typed_rules_are_told_with_file_and_line() {
    let files = files("bad-cedar");
    files.write("guardrails/a.cedar", "// who may scale\npermit(principal, action, resource) when { context.to > };\n");
    says(&files, &[("guardrails/a.cedar", "permit", "unexpected token `}`")]);
    files.write(
        "guardrails/a.cedar",
        "permit(principal, action, resource)\nwhen { context.to < \"many\" };\n\n\
        permit(principal, action == Action::\"ecs:scale-service\", resource)\nwhen { context.hours == 3 };\n\npermit(principal == Policy::\"web\", action == Action::\"ecs:scale\", resource);\n",
    );
    let mistakes = [
        ("guardrails/a.cedar", "many", "for policy `a.cedar#0`, unexpected type: expected Long but saw String"),
        (
            "guardrails/a.cedar",
            "hours",
            "for policy `a.cedar#1`, attribute `hours` in context for Action::\"ecs:scale-",
        ),
        ("guardrails/a.cedar", "ecs:scale\"", "for policy `a.cedar#2`, unrecognized action `Action::\"ecs:scale\"`"),
    ];
    says(&files, &mistakes);
}

#[test]
fn bad_limits_are_told_with_file_and_line() {
    let files = files("bad-limits");
    files.write(
        "guardrails/limits.toml",
        "[[limit]]\nscope = \"team\"\ncount = 1\nwindow = \"8d\"\n\n[[bound]]\nminimum = 9\nmaximum = 3\n\n[[bond]]\n",
    );
    let file = "guardrails/limits.toml";
    let mistakes = [
        (file, "team", "in [limit], scope is \"team\"; it must be one of everything, account, service, policy, target"),
        (file, "8d", "in [limit], window is \"8d\"; it must be a time from 1s to 7d"),
        (file, "[[bound]]", "in [bound], minimum 9 is above maximum 3"),
        (file, "[[bond]]", "bond is no key; did you mean bound?"),
    ];
    says(&files, &mistakes);
}

#[test]
fn a_body_that_would_not_fit_into_a_segment_is_told_where_it_is_configured() {
    let files = files("large-body");
    files.edit("balm.toml", |text| {
        format!("max-body-kib = 1024\n{}", text.replace("reserve-mib = 0", "reserve-mib = 0\nsegment-mib = 1"))
    });
    let what = "max-body-kib = 1024 is more than half of a journal segment of 1 MiB: lower it, or raise segment-mib";
    says(&files, &[("balm.toml", "max-body-kib", what)]);
}

#[test]
fn a_file_that_is_not_there_is_told_by_every_command_that_needs_it() {
    let files = files("no-file");
    fs::remove_file(files.path("balm.toml")).expect("it is there");
    for command in [&["check"][..], &["status"], &["stop"], &["audit", "verify"]] {
        let told = files.balm_fails(command);
        assert!(told.contains("balm.toml: cannot be read: No such file"), "{command:?}: {told}");
    }
}

#[test]
fn missing_directories_are_told_with_what_belongs_into_them() {
    let files = files("no-directories");
    for dir in ["plugins", "guardrails"] {
        fs::remove_dir_all(files.path(dir)).expect("it is there");
    }
    let told = files.refuses_to_start();
    assert!(
        told.contains("plugins: cannot be read: the directory holds the plugins (*.wasm), and may be empty"),
        "{told}"
    );
    assert!(
        told.contains("guardrails: cannot be read; the directory holds the rules (*.cedar) and limits.toml"),
        "{told}"
    );
}

#[test]
fn a_port_in_use_is_told_before_anything_is_written() {
    let files = files("port-in-use");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    files.edit("balm.toml", |text| text.replace("127.0.0.1:0", &address));
    let told = files.refuses_to_start();
    let wanted =
        format!("balm: cannot listen on {address}: is another program using the port?: Address already in use");
    assert!(told.contains(&wanted), "{told}");
    assert!(!files.data().join("journal").exists());
}

#[test]
fn a_data_directory_that_cannot_be_one_is_told() {
    let files = files("data-is-a-file");
    files.write("data", "");
    let told = files.refuses_to_start();
    let wanted = format!("balm: the data directory {} cannot be used: ", files.data().display());
    assert!(told.contains(&wanted), "{told}");
}

#[test]
fn a_byte_order_mark_before_the_rules_is_named() {
    let files = files("byte-order-mark");
    files.edit("guardrails/web.cedar", |text| format!("\u{feff}{text}"));
    let told = files.balm_fails(&["check"]);
    assert!(told.contains("web.cedar:1: the file begins with a byte order mark"), "{told}");
}
