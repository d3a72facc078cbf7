//! The doors, each with what is good there and with what must hold of whatever comes in.

use std::{fs, sync::Arc};

use balm_core::{
    action::{self, Change},
    alert::Alert,
    digest::Digest,
    engine::Engine,
    evaluation::{Conclusion, FailureKind, Input, Outcome},
    json::Json,
    line::{self, Chain},
    look::Reading,
    recovery::{self, Rest},
    rounds::{self, Reach},
    target::Target,
};
use balm_sandbox::{Interfaces, Plugin, Sandbox};

use super::{
    Became::{self, Accepted, Refused},
    Door, Try,
};
use crate::{
    corpus::{self, told},
    golden_journal,
    harness::{
        Dir,
        cloud::arn,
        grafana,
        host::{Files, TOKEN},
        http::Connection,
    },
};

pub(super) const ALL: &[Door] = &[
    Door { name: "lifting", inputs: 2_000, corpus: outcomes, open: lifting },
    Door { name: "manifest", inputs: 40, corpus: manifests, open: manifest },
    Door { name: "component", inputs: 200, corpus: components, open: component },
    Door { name: "json", inputs: 20_000, corpus: texts, open: json },
    Door { name: "grafana", inputs: 1_000, corpus: bodies, open: grafana },
    Door { name: "journal", inputs: 300, corpus: journals, open: journal },
];

/// What a good action is given.
const PARAMETERS: &str = r#"{"desired":6}"#;

/// Decisions, questions and an objection, as a guest's memory.
fn outcomes() -> Vec<Vec<u8>> {
    use told::Part::{Number, Records, Text};
    let (target, empty) = (arn("web"), "{}");
    let intent = [
        Text("ecs:scale-service"),
        Text(&target),
        Text(PARAMETERS),
        Text(r#"{"desired":4}"#),
        Number(1),
        Number(300),
        Number(1),
        Text("the alert says so"),
    ];
    let query = [Text("ecs:service"), Text(&target), Text(empty)];
    // The discriminants of `result` and of `outcome` stand first.
    let decision =
        |intents| told::memory(&[Number(0), Number(0), intents, Text("six tasks"), Number(1), Number(60), Text(empty)]);
    vec![
        decision(Records(&[&intent])),
        decision(Records(&[&intent, &intent])),
        decision(Records(&[])),
        told::memory(&[Number(0), Number(1), Records(&[&query, &query])]),
        told::memory(&[Number(1), Text("it cannot be decided")]),
    ]
}

/// What a guest returns is lifted to an outcome or to its failure, the same every time, and a record holds it.
fn lifting() -> Try {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
    let name = "told".parse().expect("a name");
    let plugin = runtime.block_on(Plugin::load(&sandbox, name, &told::returns_what_it_is_told())).expect("a plugin");
    let good = corpus::input(Json::empty_object());
    let (queries, targets) = (vec!["ecs:service".to_owned()], good.targets.clone());
    Box::new(move |bytes| {
        let alert = Arc::new(Alert { name: told::as_letters(bytes), ..(*good.alert).clone() });
        let input = Input { alert, ..good.clone() };
        let [first, second] = [(); 2].map(|()| runtime.block_on(plugin.evaluate(&input)));
        if first.outcome != second.outcome || first.fuel != second.fuel {
            return Err(format!("two evaluations differ: {first:?} and {second:?}"));
        }
        if let Ok(Outcome::Decided(decision)) = &first.outcome {
            decision.check()?;
        }
        let became = match &first.outcome {
            Err(failure) if failure.kind != FailureKind::Returned => Refused,
            Ok(_) | Err(_) => Accepted,
        };
        let reach = Reach { queries: &queries, targets: &targets };
        let rounds::Step::Concluded(conclusion) = rounds::conclude(first.outcome, 1, &[], reach) else {
            return Ok(became);
        };
        let text = serde_json::to_string(&conclusion).map_err(|error| error.to_string())?;
        match serde_json::from_str::<Conclusion>(&text) {
            Ok(read) if read == conclusion => Ok(became),
            other => Err(format!("{conclusion:?} is read back as {other:?}")),
        }
    })
}

/// Manifests as a guest's memory: with and without a name, with everything and with nothing.
fn manifests() -> Vec<Vec<u8>> {
    use told::Part::{Number, Text, Texts};
    let all = |name: [told::Part<'_>; 2], actions: &[&str], queries: &[&str]| {
        let [is_named, name] = name;
        let rest = [Text("0.1.0"), Text("Scales a service."), Texts(actions), Texts(queries), Text("{}")];
        told::memory(&[is_named, name].into_iter().chain(rest).collect::<Vec<_>>())
    };
    vec![
        all([Number(0), Text("")], &["ecs:scale-service"], &["ecs:service"]),
        all([Number(1), Text("told")], action::NAMES, balm_core::look::QUERIES),
        all([Number(0), Text("")], &[], &[]),
    ]
}

/// What a component says of itself is a manifest that a record holds, or a reason to refuse it.
fn manifest() -> Try {
    let component = told::describes_what_it_is_told();
    let load = loading();
    Box::new(move |bytes| load(&told::describing(&component, bytes)))
}

fn components() -> Vec<Vec<u8>> {
    let described = manifests().into_iter().map(|told| told::describing(&told::describes_what_it_is_told(), &told));
    described.chain([told::returns_what_it_is_told()]).collect()
}

/// A file is a plugin, or is refused with a reason; and what it imports can be told of any.
fn component() -> Try {
    let load = loading();
    Box::new(move |bytes| {
        drop(Interfaces::of(bytes));
        load(bytes)
    })
}

fn loading() -> impl Fn(&[u8]) -> Result<Became, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
    move |component| {
        let name = "told".parse().expect("a name");
        let plugin = match runtime.block_on(Plugin::load(&sandbox, name, component)) {
            Ok(plugin) => plugin,
            Err(error) if error.to_string().trim().is_empty() => return Err("it is refused without a reason".into()),
            Err(_) => return Ok(Refused),
        };
        let known = |names: &[String], all: &[&str]| names.iter().all(|name| all.contains(&name.as_str()));
        let manifest = plugin.manifest();
        if !known(&manifest.actions, action::NAMES) || !known(&manifest.queries, balm_core::look::QUERIES) {
            return Err(format!("it declares what there is not: {manifest:?}"));
        }
        let text = serde_json::to_string(manifest).map_err(|error| error.to_string())?;
        match serde_json::from_str(&text) {
            Ok(read) if *manifest == read => Ok(Accepted),
            other => Err(format!("{manifest:?} is read back as {other:?}")),
        }
    }
}

/// Parameters, queries, answers, settings and targets.
fn texts() -> Vec<Vec<u8>> {
    let service = r#"{"ecs-service":{"service":{"desired":4,"running":4,"pending":0,"deployments":1}}}"#;
    let texts = [
        PARAMETERS,
        "{}",
        r#"{"task":"0123456789abcdef","reason":"it hangs"}"#,
        r#"{"minimum":2,"maximum":12,"out-step":2,"in-step":2,"out-pause":60,"in-pause":1}"#,
        r#"{"instance":"i-0123456789abcdef0","decrement":false}"#,
        service,
        "arn:aws:ecs:eu-central-1:123456789012:service/prod/web",
        "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/web",
        r#"[1,2.50,"A\n",null,{"b":1,"a":[]}]"#,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A JSON text is normalised once and for all; what it is read as says the same of itself.
fn json() -> Try {
    Box::new(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Refused) };
        let target = text.parse::<Target>();
        if let Ok(target) = &target
            && target.to_string().parse().as_ref() != Ok(target)
        {
            return Err(format!("target {target} is no target"));
        }
        let Ok(json) = Json::parse(text) else { return Ok(if target.is_ok() { Accepted } else { Refused }) };
        match Json::parse(json.as_str()) {
            Ok(again) if again == json => {}
            other => return Err(format!("{json} is normalised again to {other:?}")),
        }
        for action in action::NAMES {
            if let Ok(change) = Change::read(action, &json)
                && Change::read(action, &change.parameters()).as_ref() != Ok(&change)
            {
                return Err(format!("{change:?} is not what its parameters say: {}", change.parameters()));
            }
        }
        if let Ok(reading) = json.read::<Reading>() {
            let text = serde_json::to_string(&reading).map_err(|error| error.to_string())?;
            if serde_json::from_str::<Reading>(&text).ok().as_ref() != Some(&reading) {
                return Err(format!("{reading:?} is not read back from {text}"));
            }
        }
        Ok(Accepted)
    })
}

/// What Grafana posts.
fn bodies() -> Vec<Vec<u8>> {
    let alert = grafana::Alert::firing("HighCpu", "web", 1);
    let resolved = grafana::Alert::firing("HighCpu", "web", 2).resolved("2026-11-01T10:00:00Z");
    vec![
        grafana::body(std::slice::from_ref(&alert)),
        grafana::body(std::slice::from_ref(&resolved)),
        grafana::body(&[alert, resolved]),
        grafana::body(&[]),
    ]
}

/// A body is answered with what was accepted or with what is wrong with it, and never with a failure of the host's.
fn grafana() -> Try {
    let files = Files::bare(Dir::new("fuzz-grafana"));
    let mut host = files.start();
    let mut connection = Connection::open(&host.alerts).expect("the host listens");
    let authorization = format!("Bearer {TOKEN}");
    Box::new(move |bytes| {
        let _kept_with_its_host = &files;
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = match connection.send("POST", "/v1/alerts/grafana", &headers, bytes) {
            Ok(answer) => answer,
            // A connection on which something was wrong is closed.
            Err(_) => {
                connection = Connection::open(&host.alerts).map_err(|error| format!("the host is gone: {error}"))?;
                connection.send("POST", "/v1/alerts/grafana", &headers, bytes).map_err(|error| error.to_string())?
            }
        };
        if host.ended().is_some() {
            return Err(format!("the host is gone: {}", host.log()));
        }
        match answer.status {
            200 => Ok(Accepted),
            400 | 413 | 422 => Ok(Refused),
            status => Err(format!("answered {status}: {}", answer.body)),
        }
    })
}

/// The golden journal as it is, and as one whose records are changed before they are chained.
fn journals() -> Vec<Vec<u8>> {
    let text = fs::read(golden_journal::dir().join("records-1.txt")).expect("the golden journal is there");
    vec![[[AS_IT_IS].as_slice(), &text].concat(), [[CHAINED].as_slice(), &text].concat()]
}

/// The first byte of an input says which.
const AS_IT_IS: u8 = 0;
const CHAINED: u8 = 1;

/// What is believed of a file is a whole, and is believed again; and no record that can be read stops an engine.
fn journal() -> Try {
    Box::new(|bytes| {
        let (kind, text) = bytes.split_first().map_or((AS_IT_IS, bytes), |(kind, text)| (*kind, text));
        let text = if kind == CHAINED { chained(text) } else { text.to_vec() };
        let (mut engine, mut end) = (Engine::new(), 0);
        let mut gap = false;
        let held = recovery::read_file(&text, Chain::START, |batch| {
            for placed in batch {
                gap |= placed.offset != end;
                end = placed.offset + placed.bytes;
                engine.replay(&placed.line.record);
            }
        });
        if gap || end != held.believed || held.believed > text.len() {
            return Err(format!("what is believed is no whole: {held:?}"));
        }
        let again = recovery::read_file(&text[..held.believed], Chain::START, |_| {});
        if again.chain != held.chain || again.rest != Rest::Nothing {
            return Err(format!("what was believed is not believed again: {held:?} and {again:?}"));
        }
        Ok(if held.rest == Rest::Nothing { Accepted } else { Refused })
    })
}

/// Lines with the hashes that they should have, whatever they say.
fn chained(text: &[u8]) -> Vec<u8> {
    let (mut hash, mut lines) = (Digest::ZERO, Vec::new());
    for text in text.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
        let json = text.iter().position(|byte| *byte == b'{').map_or(text, |at| &text[at..]);
        hash = line::hash_after(&hash, json);
        lines.extend([hash.to_string().as_bytes(), b" ", json, b"\n"].concat());
    }
    lines
}
