//! A small cloud for tests: service `web` with four tasks in cluster `prod`, lags that are exact unless a test says
//! else.

use crate::{
    Cloud, Lag, Options, Outcome, Span,
    answer::{self, Answer, ErrorCode},
    request::{DescribeServices, GetCallerIdentity, ListTasks, Operation, Request, StopTask, UpdateService},
    scenario::{Address, NewService, Step},
};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// From an update until its tasks run: the scheduler's lag and a task's.
pub(crate) const RUNS_AFTER_MS: u64 = 3_100;

pub(crate) struct Bench {
    pub(crate) cloud: Cloud,
    pub(crate) now_ms: u64,
}

pub(crate) fn exact_lag() -> Lag {
    Lag { start_ms: Span::exactly(3_000), stop_ms: Span::exactly(400), scheduler_ms: Span::exactly(100) }
}

pub(crate) fn address(service: &str) -> Address {
    Address { account: ACCOUNT.into(), region: REGION.into(), cluster: "prod".into(), service: service.into() }
}

pub(crate) fn request(operation: Operation) -> Request {
    Request { account: ACCOUNT.into(), region: REGION.into(), caller: "balm".into(), operation }
}

pub(crate) fn scale(desired: i64) -> Operation {
    Operation::UpdateService(UpdateService {
        cluster: Some("prod".into()),
        service: "web".into(),
        desired_count: Some(desired),
        ..UpdateService::default()
    })
}

pub(crate) fn redeploy() -> Operation {
    Operation::UpdateService(UpdateService {
        cluster: Some("prod".into()),
        service: "web".into(),
        force_new_deployment: Some(true),
        ..UpdateService::default()
    })
}

pub(crate) fn stop(task: &str) -> Operation {
    Operation::StopTask(StopTask { cluster: Some("prod".into()), task: task.into(), reason: Some("intent 7.0".into()) })
}

pub(crate) fn describe() -> Operation {
    let services = vec!["web".to_owned()];
    Operation::DescribeServices(DescribeServices { cluster: Some("prod".into()), services, include: Vec::new() })
}

pub(crate) fn list() -> ListTasks {
    ListTasks { cluster: Some("prod".into()), ..ListTasks::default() }
}

pub(crate) fn identity() -> Operation {
    Operation::GetCallerIdentity(GetCallerIdentity {})
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Options { lag: exact_lag(), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::seeded(1, options)
    }

    pub(crate) fn seeded(seed: u64, options: Options) -> Self {
        let mut bench = Self { cloud: Cloud::new(seed, options), now_ms: START_MS };
        bench.play(&Step::CreateService(NewService { address: address("web"), desired: 4, ..NewService::default() }));
        bench
    }

    pub(crate) fn play(&mut self, step: &Step) -> Option<String> {
        self.cloud.play(self.now_ms, step).expect("a step that can be")
    }

    pub(crate) fn call(&mut self, operation: Operation) -> Outcome {
        self.cloud.call(self.now_ms, &request(operation)).outcome
    }

    pub(crate) fn answer(&mut self, operation: Operation) -> Answer {
        match self.call(operation) {
            Outcome::Answered(answer) => *answer,
            other => panic!("not answered: {other:?}"),
        }
    }

    pub(crate) fn refusal(&mut self, operation: Operation) -> ErrorCode {
        match self.call(operation) {
            Outcome::Refused(error) => error.code,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// The service as it is, seen without a call.
    pub(crate) fn service(&mut self) -> answer::Service {
        self.sight().0
    }

    /// Its tasks as they are, stopped ones among them, by id.
    pub(crate) fn tasks(&mut self) -> Vec<answer::Task> {
        self.sight().1
    }

    pub(crate) fn tasks_in(&mut self, status: &str) -> Vec<answer::Task> {
        self.tasks().into_iter().filter(|task| task.last_status == status).collect()
    }

    /// (desired, running, pending, deployments)
    pub(crate) fn counts(&mut self) -> (u32, u32, u32, usize) {
        let service = self.service();
        (service.desired_count, service.running_count, service.pending_count, service.deployments.len())
    }

    fn sight(&mut self) -> (answer::Service, Vec<answer::Task>) {
        let sight = self.cloud.look(self.now_ms, 0, 1).pop().expect("the service");
        (sight.service, sight.tasks)
    }
}
