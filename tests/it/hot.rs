//! Plugins, policies and guardrails that change under a running host.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use balm_cloud::{Lag, Options, Span};
use balm_core::{
    evaluation::Conclusion,
    record::{ConfigurationPart, Fact},
};
use balm_tests::{
    SCALE_ECS_SERVICE,
    harness::{
        Dir,
        cloud::{Cloud, arn},
        grafana::{Alert, body},
        host::{Files, Host, TOKEN},
        http, journal,
        stamped::{self, explanation, number},
        wait,
    },
    swaps,
};

/// How long a host may take to see a change and take it in. In a build without optimisation it compiles slowly.
const WITHIN: Duration = Duration::from_secs(60);

/// A bare host with version 1 of plugin `web` and a policy that any version accepts.
fn hosting(name: &str) -> (Files, Host) {
    let files = Files::bare(Dir::new(name));
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let host = files.start();
    (files, host)
}

fn becomes_active(files: &Files, plugin: &str, bytes: &[u8]) {
    let digest = stamped::digest(bytes);
    wait::until("a version to be in force", WITHIN, || {
        let shown = files.plugin(plugin);
        (shown["state"] == "active" && shown["digest"] == digest.as_str() && shown["why"].is_null()).then_some(())
    });
}

fn is_refused(files: &Files, plugin: &str, why: &str) {
    wait::until(&format!("{why:?}"), WITHIN, || {
        files.plugin(plugin)["why"].as_str().filter(|said| said.contains(why)).map(drop)
    });
}

fn says(host: &Host, text: &str) {
    wait::until(&format!("{text:?} in the log"), WITHIN, || host.log().contains(text).then_some(()));
}

/// Post an alert for a plugin, and wait for what its policy decides about it.
fn decides(files: &Files, host: &Host, plugin: &str) -> String {
    let alert = Alert::firing("Hot", plugin, 1000 + files.facts().len() as u64);
    host.accept(&body(std::slice::from_ref(&alert)));
    wait::until("a decision", WITHIN, || {
        let facts = files.facts();
        let is_about = |number: u64| match &facts[usize::try_from(number).expect("a small number") - 1] {
            Fact::AlertReceived(received) => received.alert.fingerprint == alert.fingerprint,
            _ => false,
        };
        facts.iter().find_map(|fact| match fact {
            Fact::Evaluated(capsule) if is_about(capsule.alert.0) => Some(said(&capsule.conclusion)),
            _ => None,
        })
    })
}

fn said(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::Decided(decision) => decision.explanation.clone(),
        Conclusion::Failed(failure) => format!("failed: {}", failure.message),
    }
}

fn refusals(files: &Files) -> Vec<Fact> {
    let is_refusal = |fact: &Fact| matches!(fact, Fact::PluginRefused(_) | Fact::ConfigurationRefused(_));
    files.facts().into_iter().filter(is_refusal).collect()
}

#[test]
fn a_policy_whose_file_turns_wrong_is_what_it_was_also_after_a_crash_and_a_start() {
    let (files, mut host) = hosting("wrong-at-start");
    files.write("plugins/other.toml", &stamped::policy("other", "any"));
    looks_twice(&files, 1);
    let right = stamped::policy("web", "any");
    let wrong = right.replace("\"shadow\"", "\"enforc\"");
    files.put("plugins/web.toml", wrong.as_bytes());
    is_refused(&files, "web", "mode is \"enforc\"");
    host.kill();
    // What came while nothing ran goes with the wrong policy, and one that was never right is alone in it.
    files.put("plugins/web.wasm", &stamped::version(2));
    files.put("plugins/new.wasm", &stamped::version(3));
    files.write("plugins/new.toml", "mode = 7\n");
    let host = files.start();
    for plugin in ["web", "new"] {
        let file = files.path(&format!("plugins/{plugin}.toml")).display().to_string();
        assert!(files.plugin(plugin)["why"].as_str().expect("it says why").contains(&file));
        let refused = files.status()["refused"].to_string();
        assert!(refused.contains(&file), "{refused}");
        assert!(files.balm_says(&["plugins"]).contains(&file));
    }
    assert_eq!((&files.plugin("web")["state"], &files.plugin("new")["state"]), (&"active".into(), &"refused".into()));
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    assert_eq!(decides(&files, &host, "other"), explanation(1, "any"));
    let told = files.balm_fails(&["check"]);
    assert!(told.starts_with("balm: ") && told.contains("web.toml:1: mode is") && told.contains("new.toml"), "{told}");
    // What is mended comes into force by itself, with the version beside it.
    files.put("plugins/web.toml", right.as_bytes());
    becomes_active(&files, "web", &stamped::version(2));
    assert_eq!(decides(&files, &host, "web"), explanation(2, "any"));
    host.stop();
}

#[test]
fn what_a_plugin_wrote_before_it_failed_stands_in_its_log() {
    let (files, host) = hosting("failing-log");
    files.put("plugins/web.wasm", &stamped::falling(2));
    becomes_active(&files, "web", &stamped::falling(2));
    let failed = decides(&files, &host, "web");
    let message = failed.strip_prefix("failed: ").expect("it fails");
    let lines = files.balm_says(&["plugin", "logs", "web"]);
    let first = message.lines().next().expect("it says how");
    assert!(lines.contains(" failed ") && lines.contains(first), "{first:?} in {lines}");
    host.stop();
}

/// Other files come into force: the host has looked twice at all that lay there before.
fn looks_twice(files: &Files, version: u64) {
    files.put("plugins/other.wasm", &stamped::version(version));
    becomes_active(files, "other", &stamped::version(version));
}

#[test]
fn a_plugin_with_its_policy_dropped_into_an_empty_host_acts() {
    let span = Span::between(1, 20).expect("least is not above most");
    let lag = Lag { start_ms: span, stop_ms: span, scheduler_ms: span };
    let cloud = Cloud::start(1, Options { lag, ..Options::default() }, None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("drop-in"), &cloud.endpoint());
    fs::remove_file(files.path("plugins/scale-ecs-service.wasm")).unwrap();
    files.edit("balm.toml", |text| text.split("[[policy]]").next().expect("a part before the policy").into());
    let host = files.start();
    assert_eq!(host.ready["policies"], 0);
    let policy = format!(
        "name = \"web-cpu\"\nmode = \"enforce\"\ntargets = [\"{}\"]\nmatch = {{ labels = {{ alertname = \"HighCpu\" }} }}\n\
         [settings]\nminimum = 2\nmaximum = 12\nout-step = 2\n",
        arn("web")
    );
    let component = fs::read(SCALE_ECS_SERVICE).unwrap();
    files.put("plugins/scale-ecs-service.toml", policy.as_bytes());
    files.put("plugins/scale-ecs-service.wasm", &component);
    becomes_active(&files, "scale-ecs-service", &component);
    assert_eq!(files.plugin("scale-ecs-service")["policies"][0]["policy"], "web-cpu");
    host.accept(&body(&[Alert::firing("HighCpu", "web", 7)]));
    wait::until("the service to be scaled out", WITHIN, || (cloud.desired("web") == 6).then_some(()));
    host.stop();
}

#[test]
fn a_replaced_plugin_decides_from_then_on_and_a_removed_one_no_more_while_others_remain() {
    let (files, host) = hosting("replaced");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    files.put("plugins/web.wasm", &stamped::version(2));
    becomes_active(&files, "web", &stamped::version(2));
    assert_eq!(decides(&files, &host, "web"), explanation(2, "any"));
    looks_twice(&files, 10);
    fs::remove_file(files.path("plugins/web.wasm")).unwrap();
    wait::until("the plugin to be removed", WITHIN, || (files.plugin("web")["state"] == "removed").then_some(()));
    assert!(files.balm_says(&["plugins"]).contains("removed"));
    host.accept(&body(&[Alert::firing("Hot", "web", 7)]));
    wait::until("the policy to be idle", WITHIN, || {
        files.facts().iter().any(|fact| matches!(fact, Fact::EvaluationSkipped(_))).then_some(())
    });
    files.put("plugins/web.wasm", &stamped::version(2));
    becomes_active(&files, "web", &stamped::version(2));
    assert_eq!(decides(&files, &host, "web"), explanation(2, "any"));
    host.stop();
    let kinds: Vec<&str> =
        journal::facts(&files.data()).iter().map(Fact::kind).filter(|k| k.starts_with("plugin-")).collect();
    let activated = "plugin-activated";
    assert_eq!(kinds, [activated, activated, activated, "plugin-removed", activated]);
}

#[test]
fn a_policy_that_is_taken_away_or_changed_is_so_with_the_plugin_in_force() {
    let (files, host) = hosting("policy");
    files.put("plugins/web.toml", stamped::policy("web", &number(1)).as_bytes());
    wait::until("the settings to be other ones", WITHIN, || {
        (decides(&files, &host, "web") == explanation(1, &number(1))).then_some(())
    });
    fs::remove_file(files.path("plugins/web.toml")).unwrap();
    wait::until("the policy to be gone", WITHIN, || {
        files.plugin("web")["policies"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    becomes_active(&files, "web", &stamped::version(1));
    host.stop();
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for_and_not_refused() {
    let (files, host) = hosting("partial");
    let bytes = stamped::version(2);
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    let mut file = fs::File::create(files.path("plugins/web.wasm")).unwrap();
    file.write_all(half).unwrap();
    says(&host, "a file ends in the middle");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    file.write_all(rest).unwrap();
    becomes_active(&files, "web", &bytes);
    assert_eq!(decides(&files, &host, "web"), explanation(2, "any"));
    assert_eq!(refusals(&files), []);
    host.stop();
}

#[test]
fn a_directory_that_is_swapped_by_a_link_is_taken_in_as_a_whole() {
    let files = Files::bare(Dir::new("links"));
    let plugins = files.path("plugins");
    let swap = |version: u64| {
        let dir = plugins.join(format!("..{version}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("web.wasm"), stamped::version(version)).unwrap();
        fs::write(dir.join("web.toml"), stamped::policy("web", &number(version))).unwrap();
        symlink(dir, plugins.join("..new")).unwrap();
        fs::rename(plugins.join("..new"), plugins.join("..data")).unwrap();
    };
    swap(1);
    for file in ["web.wasm", "web.toml"] {
        symlink(format!("..data/{file}"), plugins.join(file)).unwrap();
    }
    let host = files.start();
    assert_eq!(decides(&files, &host, "web"), explanation(1, &number(1)));
    swap(2);
    becomes_active(&files, "web", &stamped::version(2));
    assert_eq!(decides(&files, &host, "web"), explanation(2, &number(2)));
    assert_eq!(refusals(&files), []);
    host.stop();
}

#[test]
fn a_directory_that_empties_at_once_changes_nothing_and_says_so_once() {
    let (files, host) = hosting("emptied");
    looks_twice(&files, 10);
    for file in ["web.wasm", "web.toml", "other.wasm"] {
        fs::remove_file(files.path("plugins").join(file)).unwrap();
    }
    says(&host, "the plugin directory changes nothing");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    looks_twice(&files, 11);
    wait::until("what is still gone to count", WITHIN, || (files.plugin("web")["state"] == "removed").then_some(()));
    assert_eq!(host.log().matches("the plugin directory changes nothing").count(), 1);
    host.stop();
}

#[test]
fn a_bad_file_is_refused_once_and_the_last_good_stays_also_over_a_restart() {
    let (files, host) = hosting("bad");
    files.put("plugins/web.wasm", b"no WebAssembly");
    is_refused(&files, "web", "no WebAssembly");
    looks_twice(&files, 10);
    looks_twice(&files, 11);
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    assert!(matches!(&refusals(&files)[..], [Fact::PluginRefused(refused)] if refused.why.contains("web.wasm")));
    let shown = files.plugin("web");
    assert_eq!((&shown["state"], &shown["digest"]), (&"active".into(), &stamped::digest(&stamped::version(1)).into()));
    assert!(files.balm_says(&["plugins"]).contains("active, newer refused"));
    files.put("plugins/web.wasm", &stamped::trapping(2));
    is_refused(&files, "web", "describe itself");
    host.stop();
    let host = files.start();
    is_refused(&files, "web", "describe itself");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    host.stop();
}

#[test]
fn settings_and_plugin_are_taken_in_together_or_not_at_all() {
    let (files, host) = hosting("pair");
    files.put("plugins/web.toml", stamped::policy("web", &number(2)).as_bytes());
    is_refused(&files, "web", "does not accept its settings");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    files.put("plugins/web.wasm", &stamped::version(3));
    is_refused(&files, "web", "does not accept the settings of policy web");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    files.put("plugins/web.wasm", &stamped::version(2));
    becomes_active(&files, "web", &stamped::version(2));
    assert_eq!(decides(&files, &host, "web"), explanation(2, &number(2)));
    files.put("plugins/web.toml", b"mode = \"on\"\n");
    is_refused(&files, "web", "web.toml:1: mode is \"on\"");
    assert_eq!(decides(&files, &host, "web"), explanation(2, &number(2)));
    host.stop();
    let facts = journal::facts(&files.data());
    let parts: Vec<&ConfigurationPart> = facts
        .iter()
        .filter_map(|fact| if let Fact::ConfigurationRefused(refused) = fact { Some(&refused.part) } else { None })
        .collect();
    assert_eq!(parts, [&ConfigurationPart::Beside("web".parse().unwrap()); 2]);
}

#[test]
fn settings_that_changed_while_no_host_ran_and_are_not_accepted_leave_the_policy_as_it_was() {
    let (files, host) = hosting("settings-at-start");
    host.stop();
    files.put("plugins/web.toml", stamped::policy("web", &number(2)).as_bytes());
    let host = files.start();
    is_refused(&files, "web", "does not accept its settings");
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    looks_twice(&files, 10);
    assert_eq!(decides(&files, &host, "web"), explanation(1, "any"));
    assert_eq!(refusals(&files).len(), 1);
    host.stop();
}

#[test]
fn guardrails_are_one_version_and_a_wrong_one_keeps_the_last_good() {
    let (files, host) = hosting("guardrails");
    let configured = || {
        let facts = files.facts();
        let digests =
            facts.iter().filter_map(|fact| if let Fact::Configured(c) = fact { Some(c.guardrails) } else { None });
        digests.collect::<Vec<_>>()
    };
    let refused = || {
        let facts = files.facts();
        let mistakes = facts.iter().filter_map(|fact| match fact {
            Fact::ConfigurationRefused(refused) if refused.part == ConfigurationPart::Guardrails => {
                Some(refused.mistakes.join("\n"))
            }
            _ => None,
        });
        mistakes.collect::<Vec<_>>()
    };
    files.put("guardrails/web.cedar", b"permit(principal, action, resource);\n");
    wait::until("rules to be in force", WITHIN, || (configured().len() == 2).then_some(()));
    files.put("guardrails/limits.toml", b"[[limit]]\nscope = \"team\"\n");
    wait::until("limits to be refused", WITHIN, || refused().first().cloned());
    looks_twice(&files, 10);
    assert_eq!((configured().len(), refused().len()), (2, 1));
    assert!(refused()[0].contains("limits.toml:2: in [limit], scope is \"team\""), "{:?}", refused());
    files.put("guardrails/limits.toml", b"[[limit]]\nscope = \"target\"\ncount = 1\nwindow = \"1h\"\n");
    wait::until("limits to be in force", WITHIN, || (configured().len() == 3).then_some(()));
    let digests = configured();
    assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    host.stop();
}

fn status_of(host: &Host, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let alert = body(&[Alert::firing("Hot", "nobody", 1)]);
    http::post(&host.alerts, "/v1/alerts/grafana", &headers, &alert).expect("the host answers").status
}

#[test]
fn a_wrong_configuration_is_not_reloaded_and_everything_that_is_wrong_is_told() {
    let (files, host) = hosting("reload");
    let right = fs::read_to_string(files.path("balm.toml")).unwrap();
    files.write("token", "another-t0ken");
    files.write("balm.toml", &right.replace("kind = \"grafana\"", "kind = \"grafna\"\nx = 1"));
    files.write("guardrails/web.cedar", "permit(principal, action == Action::\"ecs:scale\", resource);\n");
    let output = files.balm(&["reload", "--why", "a test"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    for mistake in ["balm.toml:5: in [source.grafana]", "balm.toml:6: in [source.grafana], x is no key", "web.cedar:1:"]
    {
        assert!(told.contains(mistake), "{mistake} is not in {told}");
    }
    assert_eq!((status_of(&host, TOKEN), status_of(&host, "another-t0ken")), (200, 401));
    files.write("balm.toml", &right.replace("127.0.0.1:0", "127.0.0.1:1"));
    files.write("guardrails/web.cedar", "");
    let told = files.balm_says(&["reload", "--why", "a test"]);
    assert!(told.contains("only a restart changes: listen"), "{told}");
    assert_eq!((status_of(&host, TOKEN), status_of(&host, "another-t0ken")), (401, 200));
    host.stop();
    let facts = journal::facts(&files.data());
    let by = |fact: &Fact| match fact {
        Fact::ConfigurationRefused(refused) if refused.part == ConfigurationPart::Whole => refused.by.clone(),
        Fact::Reloaded(reloaded) => Some(reloaded.by.clone()),
        _ => None,
    };
    let by: Vec<_> = facts.iter().filter_map(by).collect();
    assert_eq!(by.len(), 2);
    assert!(by.iter().all(|by| by.why == "a test" && by.who.starts_with("user ")), "{by:?}");
}

#[test]
fn a_reload_takes_a_policy_with_a_plugin_that_accepts_it_and_nothing_otherwise() {
    let (files, host) = hosting("reload-policy");
    fs::remove_file(files.path("plugins/web.toml")).unwrap();
    let own = |stamp: &str| {
        let policy = stamped::policy("web", stamp)
            .replace("[match]", "[policy.match]")
            .replace("[settings]", "[policy.settings]");
        format!("\n[[policy]]\nname = \"web\"\nplugin = \"web\"\n{policy}")
    };
    let bare = fs::read_to_string(files.path("balm.toml")).unwrap();
    files.write("balm.toml", &(bare.clone() + &own(&number(2))));
    let output = files.balm(&["reload"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("balm.toml:11: plugin web does not accept its settings"),
        "{told}"
    );
    fs::write(files.path("plugins/web.wasm"), stamped::version(2)).unwrap();
    let _ = files.balm_says(&["reload"]);
    assert_eq!(decides(&files, &host, "web"), explanation(2, &number(2)));
    host.stop();
}

#[test]
fn a_host_whose_program_was_replaced_still_takes_plugins_in() {
    let files = Files::bare(Dir::new("hot-replaced"));
    let program = files.path("balm-of-before");
    let script = r#"cp "$1" "$0" && program=$0 && shift && exec "$program" "$@""#;
    let _host = files.start_below(&["sh", "-c", script, &program.display().to_string()]);
    fs::remove_file(&program).expect("a program that runs can be removed");
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    becomes_active(&files, "web", &stamped::version(1));
}

#[test]
fn a_hangup_reloads() {
    let (files, host) = hosting("hangup");
    files.write("token", "another-t0ken");
    host.signal("HUP");
    wait::until("the other token to count", WITHIN, || (status_of(&host, "another-t0ken") == 200).then_some(()));
    assert_eq!(status_of(&host, TOKEN), 401);
    host.stop();
}

#[test]
fn a_host_killed_while_plugins_are_swapped_has_one_whole_version_whenever_it_decides() {
    let files = Files::bare(Dir::new("killed-swaps"));
    let plugins = files.path("plugins");
    for file in ["web.wasm", "web.toml"] {
        symlink(format!("..data/{file}"), plugins.join(file)).unwrap();
    }
    let swap = |version: u64| {
        let dir = plugins.join(format!("..{version}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("web.wasm"), stamped::version(version)).unwrap();
        fs::write(dir.join("web.toml"), stamped::policy("web", &number(version))).unwrap();
        symlink(dir, plugins.join("..new")).unwrap();
        fs::rename(plugins.join("..new"), plugins.join("..data")).unwrap();
    };
    swap(1);
    let over = AtomicBool::new(false);
    let last = thread::scope(|threads| {
        let swapping = threads.spawn(|| {
            let mut version = 1;
            while !over.load(Ordering::SeqCst) {
                // Some versions stay long enough to be taken in, others do not.
                thread::sleep(Duration::from_millis(if version % 3 == 0 { 1_500 } else { 150 }));
                version += 1;
                swap(version);
            }
            version
        });
        for life in 0..8_u64 {
            let mut host = files.start();
            for moment in 0..3 {
                host.accept(&body(&[Alert::firing("Hot", "web", life * 10 + moment)]));
                thread::sleep(Duration::from_millis(life * 70));
            }
            host.kill();
        }
        over.store(true, Ordering::SeqCst);
        swapping.join().unwrap()
    });
    let host = files.start();
    becomes_active(&files, "web", &stamped::version(last));
    assert_eq!(decides(&files, &host, "web"), explanation(last, &number(last)));
    host.stop();
    let mut decisions = 0;
    for fact in journal::facts(&files.data()) {
        let Fact::Evaluated(capsule) = fact else { continue };
        let said = said(&capsule.conclusion);
        let (version, settings) = said.split_once(" with settings ").unwrap_or_default();
        assert_eq!(version, format!("version {settings}"), "{said}");
        decisions += 1;
    }
    assert!(decisions >= 8, "{decisions} decisions show nothing");
}

#[test]
fn a_hundred_swaps_under_load_lose_nothing_and_mix_nothing() {
    let report = swaps::run(&swaps::Options { swaps: 96, seed: 0x9e37_79b9_7f4a_7c15, keep: None });
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.broken > 5 && report.acknowledged > 500, "too little happened to show anything: {report:#?}");
}
