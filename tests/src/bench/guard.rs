//! What the guard costs: all checks of one intent, with a hundred rules, several limits and a day's admissions behind it.
//!
//! Once where the rules are asked what they were never asked before, and once where they remember what they answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use balm_catalogue::ecs;
use balm_core::{
    approval::Terms,
    configuration::{
        Bound, Configuration, Filter, Guardrails, Limit, Matcher, Mode, Policy, Scope, Targets, Timing, Window,
    },
    evaluation::Proposal,
    json::Json,
    look::Reading,
    name::IntentId,
    record::Verdict,
    time::Timestamp,
    trial::Trial,
};

use super::{Figures, quantile};

const RULES: usize = 100;
const ADMISSIONS: u32 = 200;
const WARM: usize = 500;
const SAMPLES: usize = 5_000;
const START: u64 = 1_795_435_200_000;
const TARGET: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

/// Judge the same intent many times.
pub fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let mut trial = Trial::new(configuration()?, Timestamp::from_millis(START)).map_err(anyhow::Error::msg)?;
    for _ in 0..ADMISSIONS {
        let (intent, to) = propose(&mut trial)?;
        let judged = trial.judge(intent, reading(4)).map_err(anyhow::Error::msg)?;
        ensure!(judged.verdict == Verdict::Admitted, "it is not admitted: {judged:?}");
        ensure!(trial.finish(intent, reading(to)).map_err(anyhow::Error::msg)?, "it is not verified");
        trial.wait(Duration::from_secs(60));
    }
    let (intent, _) = propose(&mut trial)?;
    let mut anew = judge(&trial, intent, |sample| labelled(&sample.to_string()))?;
    let mut remembered = judge(&trial, intent, |_| labelled("the same"))?;
    figures.insert("guard_p50_us", quantile(&mut anew, 0.5));
    figures.insert("guard_p99_us", quantile(&mut anew, 0.99));
    figures.insert("guard_remembered_p50_us", quantile(&mut remembered, 0.5));
    Ok(())
}

/// Microseconds of each of many judgements on what a look finds.
fn judge(trial: &Trial, intent: IntentId, look: impl Fn(usize) -> Reading) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    for sample in 0..WARM + SAMPLES {
        let seen = look(sample);
        let since = Instant::now();
        let judged = trial.ask(intent, &seen).map_err(anyhow::Error::msg)?;
        let took = since.elapsed().as_secs_f64() * 1e6;
        ensure!(judged.verdict == Verdict::Admitted, "it is not admitted: {judged:?}");
        if sample >= WARM {
            samples.push(took);
        }
    }
    Ok(samples)
}

/// A service with a tag that rules could ask for.
fn labelled(value: &str) -> Reading {
    let mut reading = reading(4);
    if let Reading::EcsService { service, .. } = &mut reading {
        service.tags.insert("release".into(), value.into());
    }
    reading
}

fn propose(trial: &mut Trial) -> anyhow::Result<(IntentId, u32)> {
    let policy = "web-cpu".parse()?;
    let labels = [("severity".to_owned(), "critical".to_owned())];
    let episode = trial.fire(&policy, TARGET, labels).map_err(anyhow::Error::msg)?;
    let to = 6;
    let proposal = Proposal {
        action: "ecs:scale-service".into(),
        target: TARGET.into(),
        parameters: Json::of(&ecs::ScaleService { desired: to }),
        expects: Json::parse(r#"{"desired":4}"#).context("JSON")?,
        verify_within: None,
        undo: false,
        reason: "CPU is at 91 %".into(),
    };
    Ok((trial.propose(episode, &policy, proposal).map_err(anyhow::Error::msg)?, to))
}

fn configuration() -> anyhow::Result<Configuration> {
    let policy = Policy {
        plugin: "scale-ecs-service".parse()?,
        mode: Mode::Enforce,
        matches: Matcher { sources: vec![], labels: [("alertname".to_owned(), vec!["HighCpu".to_owned()])].into() },
        targets: Targets::Fixed(vec![TARGET.parse()?]),
        settings: Json::empty_object(),
    };
    let limit = |scope, window| Limit { scope, only: Filter::default(), count: 1_000, window };
    let day = Window::of_ms(86_400_000);
    let limits = vec![
        limit(Scope::Everything, day),
        limit(Scope::Account, day),
        limit(Scope::Policy, Window::of_ms(3_600_000)),
        limit(Scope::Target, day),
        limit(Scope::Everything, Window::AtOnce),
    ];
    Ok(Configuration {
        quarantine_after: 0,
        policies: [("web-cpu".parse()?, policy)].into(),
        guardrails: Guardrails {
            rules: [("many.cedar".to_owned(), rules())].into(),
            limits,
            bounds: vec![Bound { minimum: Some(2), maximum: Some(12), step: Some(4), ..Bound::default() }],
            ..Guardrails::default()
        },
        accounts: [("123456789012".parse()?, vec!["eu-central-1".parse()?])].into(),
        notifiers: vec![],
        paced: vec![],
        checkpoints: vec![],
        timing: Timing::default(),
        approval: Terms::default(),
    })
}

/// As a team would have them: one for each of its services, some for all, each with a condition.
fn rules() -> String {
    let one = |number: usize| match number % 4 {
        0 => format!(
            "permit(principal == Policy::\"policy-{number}\", action in Action::\"scale\", resource in \
             Account::\"123456789012\") when {{ context.to <= {number} }};\n"
        ),
        1 => format!(
            "permit(principal, action in Action::\"restart\", resource) when {{ resource.hasTag(\"team\") && \
             resource.getTag(\"team\") == \"team-{number}\" }};\n"
        ),
        2 => format!(
            "forbid(principal, action, resource == Service::\"{TARGET}-{number}\") when {{ context.hour >= 9 && \
             context.hour < 17 }};\n"
        ),
        _ => format!(
            "forbid(principal, action in Action::\"scale\", resource) when {{ context.to > {} }};\n",
            100 + number
        ),
    };
    let own = "permit(principal == Policy::\"web-cpu\", action == Action::\"ecs:scale-service\", resource in \
               Cluster::\"arn:aws:ecs:eu-central-1:123456789012:cluster/prod\") when { context.to <= 12 };\n";
    (1..RULES).map(one).chain([own.to_owned()]).collect()
}

fn reading(desired: u32) -> Reading {
    let deployment = ecs::Deployment {
        id: "ecs-svc/1".into(),
        status: "PRIMARY".into(),
        desired,
        running: desired,
        pending: 0,
        failed: 0,
        created_at: 0,
        rollout_state: "COMPLETED".into(),
    };
    let service = ecs::Service {
        status: "ACTIVE".into(),
        desired,
        running: desired,
        pending: 0,
        task_definition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7".into(),
        deployments: vec![deployment],
        min_healthy_percent: Some(100),
        tags: [("team".to_owned(), "web".to_owned()), ("balm".to_owned(), "yes".to_owned())].into(),
    };
    Reading::EcsService { service, tasks: vec![] }
}
