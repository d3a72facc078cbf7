//! Versions of plugins from their arrival to their end: what is stopped, what is gone back to, and what a person chooses.

use std::{thread, time::Duration};

use balm_core::{
    evaluation::Conclusion,
    record::{Fact, StopScope},
    versions::record::Cause,
};
use balm_tests::harness::{
    Dir,
    grafana::{Alert, body},
    host::{Files, Host},
    journal,
    stamped::{self, explanation},
    wait,
};
use serde_json::Value;

/// How long a host may take to compile, on a busy machine in a build without optimisation; and to try an evaluation again.
const WITHIN: Duration = Duration::from_secs(90);

fn is_in_force(files: &Files, bytes: &[u8]) {
    let digest = stamped::digest(bytes);
    wait::until("a version to be in force", WITHIN, || {
        let shown = files.plugin("web");
        (shown["state"] == "active" && shown["digest"] == digest.as_str()).then_some(())
    });
}

/// Post so many alerts, each of an episode of its own.
fn alerts(host: &Host, fingerprints: std::ops::Range<u64>) {
    for fingerprint in fingerprints {
        host.accept(&body(&[Alert::firing("Hot", "web", fingerprint)]));
    }
}

fn count(files: &Files, is: impl Fn(&Fact) -> bool) -> usize {
    files.facts().iter().filter(|fact| is(fact)).count()
}

fn decisions_of(files: &Files, version: u64) -> usize {
    let words = explanation(version, "any");
    count(files, |fact| match fact {
        Fact::Evaluated(capsule) => {
            matches!(&capsule.conclusion, Conclusion::Decided(decision) if decision.explanation == words)
        }
        _ => false,
    })
}

fn decide(files: &Files, version: u64, decisions: usize) {
    wait::until("decisions", WITHIN, || (decisions_of(files, version) >= decisions).then_some(()));
}

#[test]
fn a_version_that_fails_again_and_again_is_stopped_and_the_last_good_one_decides_in_its_place() {
    let files = Files::bare(Dir::new("quarantine"));
    files.edit("balm.toml", |text| text + "\n[notifier.log]\nkind = \"log\"\n");
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    alerts(&host, 0..1);
    decide(&files, 1, 1);
    files.put("plugins/web.wasm", &stamped::falling(2));
    is_in_force(&files, &stamped::falling(2));
    alerts(&host, 10..18);
    is_in_force(&files, &stamped::version(1));
    let stopped = stamped::digest(&stamped::falling(2));
    let is_stop = |fact: &Fact| match fact {
        Fact::StopEngaged(stop) => {
            matches!(&stop.scope, StopScope::Version(digest) if digest.to_string() == stopped)
                && stop.by.who == "quarantine"
        }
        _ => false,
    };
    let back = |fact: &Fact| matches!(fact, Fact::PluginActivated(activated) if matches!(activated.cause, Cause::Quarantine(_)));
    assert_eq!((count(&files, is_stop), count(&files, back)), (1, 1));
    wait::until("people to be told", WITHIN, || host.log().contains("is stopped by quarantine").then_some(()));
    // Every alert that the bad version failed on is decided by the good one, once it is due again.
    decide(&files, 1, 1 + 8);

    host.kill();
    let host = files.start();
    is_in_force(&files, &stamped::version(1));
    alerts(&host, 20..21);
    decide(&files, 1, 1 + 8 + 1);
    assert_eq!(count(&files, is_stop), 1, "the file that lies there is not taken in again");
    files.put("plugins/web.wasm", &stamped::version(3));
    is_in_force(&files, &stamped::version(3));
    alerts(&host, 30..31);
    decide(&files, 3, 1);
    host.stop();
}

/// Versions of `web` with their states, as the host shows them.
fn states(files: &Files) -> Vec<(String, String)> {
    let shown: Value = serde_json::from_str(&files.balm_says(&["plugin", "show", "web", "--json"])).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let versions = shown["versions"].as_array().expect("versions");
    versions.iter().map(|version| (text(&version["digest"]), text(&version["state"]))).collect()
}

fn push(files: &Files, version: u64) -> String {
    let bytes = stamped::version(version);
    files.put(&format!("{version}.wasm"), &bytes);
    let file = files.path(&format!("{version}.wasm")).display().to_string();
    let said = files.balm_says(&["plugin", "push", &file, "--name", "web", "--why", "a new build & more"]);
    let digest = stamped::digest(&bytes);
    assert!(said.contains(&format!("version {digest} of plugin web is kept, and not in force")), "{said}");
    digest
}

#[test]
fn versions_are_pushed_chosen_gone_back_from_and_disabled_and_the_file_that_lay_there_does_not_take_it_back() {
    let files = Files::bare(Dir::new("lifecycle"));
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    let one = stamped::digest(&stamped::version(1));
    let (two, three) = (push(&files, 2), push(&files, 3));
    let state = |digest: &String, word: &str| (digest.clone(), word.to_owned());
    assert_eq!(states(&files), [state(&one, "active"), state(&two, "resident"), state(&three, "resident")]);
    alerts(&host, 0..1);
    decide(&files, 1, 1);

    let said = files.balm_says(&["plugin", "activate", "web", &two[..12], "--why", "it is better"]);
    assert!(said.contains(&format!("version {two} of plugin web is in force")), "{said}");
    alerts(&host, 10..11);
    decide(&files, 2, 1);
    let _ = files.balm_says(&["plugin", "activate", "web", &three, "--why", "better still"]);
    let by = |fact: &Fact| match fact {
        Fact::PluginActivated(activated) => match &activated.cause {
            Cause::Activated(by) => Some((by.why.clone(), by.who.starts_with("user "))),
            _ => None,
        },
        _ => None,
    };
    let chosen: Vec<_> = files.facts().iter().filter_map(by).collect();
    assert_eq!(chosen, [("it is better".into(), true), ("better still".into(), true)]);

    // The file in the directory is the one that lay there before: a restart does not take it in again.
    host.kill();
    host = files.start();
    assert_eq!(states(&files), [state(&one, "resident"), state(&two, "resident"), state(&three, "active")]);
    let _ = files.balm_says(&["plugin", "rollback", "web"]);
    assert_eq!(states(&files), [state(&one, "resident"), state(&two, "active"), state(&three, "resident")]);
    let _ = files.balm_says(&["plugin", "rollback", "web"]);
    alerts(&host, 20..21);
    decide(&files, 1, 2);
    let told = files.balm_fails(&["plugin", "rollback", "web"]);
    assert!(told.contains("there is no version of plugin web before the one in force"), "{told}");

    let _ = files.balm_says(&["plugin", "disable", "web", "--why", "not today"]);
    assert_eq!(files.plugin("web")["state"], "removed");
    host.kill();
    host = files.start();
    assert_eq!(files.plugin("web")["state"], "removed", "disabled is disabled, over a restart too");
    let told = files.balm_fails(&["plugin", "activate", "web", "0000000000"]);
    assert!(told.contains("plugin web has no version 0000000000"), "{told}");
    let _ = files.balm_says(&["plugin", "activate", "web", &three]);
    // Another file is another choice.
    files.put("plugins/web.wasm", &stamped::version(4));
    is_in_force(&files, &stamped::version(4));
    host.stop();
}

#[test]
fn a_plugin_that_was_only_pushed_stays_in_force_without_a_file_and_what_is_no_plugin_is_not_kept() {
    let files = Files::bare(Dir::new("pushed-only"));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    let one = push(&files, 1);
    let _ = files.balm_says(&["plugin", "activate", "web", &one]);
    alerts(&host, 0..1);
    decide(&files, 1, 1);
    host.kill();
    host = files.start();
    is_in_force(&files, &stamped::version(1));
    alerts(&host, 10..11);
    decide(&files, 1, 2);
    files.put("trapping.wasm", &stamped::trapping(2));
    let file = files.path("trapping.wasm").display().to_string();
    let told = files.balm_fails(&["plugin", "push", &file, "--name", "web"]);
    assert!(told.contains("it is no version of plugin web"), "{told}");
    files.write("plugins/web.toml", &stamped::policy("web", &stamped::number(1)));
    wait::until("the policy to be for version 1", WITHIN, || {
        files.facts().iter().rev().find_map(|fact| match fact {
            Fact::Configured(configured) => {
                let settings = configured.configuration.policies.values().next()?.settings.as_str().to_owned();
                settings.contains(&stamped::number(1)).then_some(())
            }
            _ => None,
        })
    });
    let two = push(&files, 2);
    let told = files.balm_fails(&["plugin", "activate", "web", &two]);
    assert!(told.contains("it does not accept the settings of policy web"), "{told}");
    assert_eq!(states(&files).iter().filter(|(_, state)| state == "active").count(), 1);
    host.stop();
}

#[test]
fn a_host_killed_in_the_middle_of_any_change_of_a_version_has_one_whole_version_afterwards() {
    let files = Files::bare(Dir::new("lifecycle-kills"));
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    let digests: Vec<String> = (2..=4).map(|version| push(&files, version)).collect();
    for life in 0..12_u64 {
        thread::scope(|threads| {
            let changing = threads.spawn(|| {
                for step in 0..40 {
                    let digest = &digests[step % digests.len()];
                    let change: &[&str] = match step % 4 {
                        0 | 2 => &["plugin", "activate", "web", digest],
                        1 => &["plugin", "rollback", "web"],
                        _ => &["plugin", "disable", "web"],
                    };
                    // Some are refused, and none can be made once the host is gone.
                    let _ = files.balm(change);
                }
            });
            thread::sleep(Duration::from_millis(20 + life * 37));
            host.kill();
            changing.join().expect("it does not panic");
        });
        let last = journal::facts(&files.data()).into_iter().rev().find_map(|fact| match fact {
            Fact::PluginActivated(activated) => Some(Some(activated.digest.to_string())),
            Fact::PluginRemoved(_) => Some(None),
            _ => None,
        });
        let last = last.expect("a version was in force");
        host = files.start();
        let active: Vec<String> =
            states(&files).into_iter().filter(|(_, state)| state == "active").map(|(digest, _)| digest).collect();
        assert_eq!(active, last.clone().into_iter().collect::<Vec<_>>(), "life {life}: the journal's last word");
        if last.is_none() {
            let _ = files.balm_says(&["plugin", "activate", "web", &digests[0]]);
        }
        let before = files.facts().len();
        alerts(&host, 1000 + life..1001 + life);
        let decided = wait::until("a decision", WITHIN, || {
            files.facts().into_iter().skip(before).find_map(|fact| match fact {
                Fact::Evaluated(capsule) => Some(capsule.plugin.to_string()),
                _ => None,
            })
        });
        assert_eq!(decided, last.unwrap_or_else(|| digests[0].clone()), "life {life}");
    }
    host.stop();
}

fn differences(files: &Files) -> Value {
    serde_json::from_str(&files.balm_says(&["plugin", "diff", "web", "--json"])).expect("JSON")
}

#[test]
fn a_candidate_is_compared_about_the_same_episodes_and_what_it_comes_to_has_no_effect() {
    let files = Files::bare(Dir::new("candidate"));
    files.put("plugins/web.wasm", &stamped::version(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    let two = push(&files, 2);
    let told = files.balm_fails(&["plugin", "diff", "web"]);
    assert!(told.contains("plugin web has no candidate"), "{told}");
    let _ = files.balm_says(&["plugin", "candidate", "web", &two, "--why", "is it the same?"]);
    assert_eq!(
        states(&files).iter().find(|(digest, _)| *digest == two).map(|(_, state)| state.as_str()),
        Some("candidate")
    );
    alerts(&host, 0..4);
    // It says another number, and would do the same: nothing.
    wait::until("four comparisons", WITHIN, || (differences(&files)["other-words"] == 4).then_some(()));
    host.kill();
    host = files.start();
    assert_eq!(differences(&files)["other-words"], 4, "what was compared is in the records");

    files.put("falling.wasm", &stamped::falling(3));
    let file = files.path("falling.wasm").display().to_string();
    let _ = files.balm_says(&["plugin", "push", &file, "--name", "web"]);
    let three = stamped::digest(&stamped::falling(3));
    let _ = files.balm_says(&["plugin", "candidate", "web", &three]);
    alerts(&host, 10..13);
    let diff = wait::until("three differences", WITHIN, || {
        let diff = differences(&files);
        (diff["differs"] == 3).then_some(diff)
    });
    let example = &diff["examples"][0];
    assert!(
        example["active"]["decided"]["explanation"].as_str().is_some_and(|said| said == explanation(1, "any")),
        "{diff}"
    );
    assert_eq!(example["candidate"]["concluded"]["failed"]["kind"], "trapped", "{diff}");
    let said = files.balm_says(&["plugin", "diff", "web"]);
    assert!(said.contains("something else 3") && said.contains("trapped"), "{said}");
    // It fails again and again: it is compared no longer, and the version in force never noticed.
    alerts(&host, 20..23);
    let ended = |fact: &Fact| matches!(fact, Fact::CandidateEnded(ended) if ended.by.is_none());
    wait::until("the candidate to be given up", WITHIN, || (count(&files, ended) == 1).then_some(()));
    decide(&files, 1, 4 + 3 + 3);
    let others = |fact: &Fact| matches!(fact, Fact::Evaluated(capsule) if capsule.plugin.to_string() != stamped::digest(&stamped::version(1)));
    assert_eq!((count(&files, others), count(&files, |fact| matches!(fact, Fact::StopEngaged(_)))), (0, 0));
    host.stop();
}

#[test]
fn where_there_is_no_earlier_version_none_is_in_force_until_the_stop_is_released() {
    let files = Files::bare(Dir::new("quarantine-first"));
    files.edit("balm.toml", |text| format!("quarantine-after = 3\n{text}"));
    files.put("plugins/web.wasm", &stamped::falling(1));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let host = files.start();
    is_in_force(&files, &stamped::falling(1));
    alerts(&host, 0..3);
    wait::until("it to be out of force", WITHIN, || (files.plugin("web")["state"] == "removed").then_some(()));
    alerts(&host, 10..11);
    let skipped =
        |fact: &Fact| matches!(fact, Fact::EvaluationSkipped(skipped) if skipped.why.contains("is not loaded"));
    wait::until("its policy to be skipped", WITHIN, || (count(&files, skipped) > 0).then_some(()));
    let stop = files.status()["stops"][0]["stop"].as_u64().expect("a stop");
    let said = files.balm_says(&["resume", "--stop", &stop.to_string(), "--backlog", "drop", "--why", "it is mended"]);
    assert!(said.contains("released"), "{said}");
    is_in_force(&files, &stamped::falling(1));
    host.stop();
}
