//! scratch
use balm_core::{alert::*, evaluation::*, json::Json, time::Timestamp};
use balm_sandbox::{Plugin, Sandbox};
use std::{sync::Arc, time::Instant};
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let bytes = std::fs::read(balm_tests::SCALE_ECS_SERVICE).unwrap();
        let sandbox = Arc::new(Sandbox::new().unwrap());
        let t = Instant::now();
        let plugin = Plugin::load(&sandbox, "scale-ecs-service".parse().unwrap(), &bytes).await.unwrap();
        println!("load {:?} {} bytes", t.elapsed(), bytes.len());
        println!("{:?}", plugin.manifest());
        let target = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
        let settings = Json::parse(r#"{"minimum":2,"maximum":10}"#).unwrap();
        println!("{:?}", plugin.validate_settings(&settings).await);
        println!("{:?}", plugin.validate_settings(&Json::parse(r#"{"minimum":2,"maxmum":10}"#).unwrap()).await);
        let labels = ["alertname", "grafana_folder", "service", "cluster", "team", "severity", "region", "instance"]
            .iter()
            .map(|k| ((*k).to_owned(), "some-value".to_owned()))
            .collect();
        let alert = Alert {
            source: "grafana".parse().unwrap(),
            org: "1".into(),
            fingerprint: "c6eadffa33fcdf37".into(),
            status: Status::Firing,
            name: "HighCpu".into(),
            labels,
            annotations: [
                ("summary".to_owned(), "CPU is high".to_owned()),
                ("description".to_owned(), "x".repeat(200)),
            ]
            .into(),
            values: [("B".to_owned(), 91.5), ("C".to_owned(), 1.0)].into(),
            starts_at: Some(Timestamp::from_millis(1)),
            ends_at: None,
            url: String::new(),
            held: None,
        };
        let service = balm_sdk::testing::service(4);
        let answer = Answer {
            query: Query { kind: "ecs:service".into(), target: target.into(), parameters: Json::empty_object() },
            reading: Ok(Json::of(&service)),
            at: Timestamp::from_millis(5),
        };
        let input = Input {
            alert: Arc::new(alert),
            policy: "web-cpu".parse().unwrap(),
            targets: vec![target.parse().unwrap()],
            settings,
            answers: vec![answer],
            trigger: Trigger::Fired,
            history: vec![],
            now: Timestamp::from_millis(1_795_435_200_000),
            seed: 7,
        };
        let r = plugin.evaluate(&input).await;
        println!("{r:?}");
        for _ in 0..3 {
            let mut v: Vec<u64> = vec![];
            for _ in 0..20000 {
                let t = Instant::now();
                let r = plugin.evaluate(&input).await;
                assert!(r.outcome.is_ok());
                v.push(t.elapsed().as_nanos() as u64);
            }
            v.sort();
            println!("p50 {} us p99 {} us", v[10000] as f64 / 1e3, v[19800] as f64 / 1e3);
        }
    });
}
