//! The model cloud, on a thread of its own in the test's process: it lives on when the host is killed.

use std::{net::SocketAddr, path::PathBuf, thread::JoinHandle};

use balm_cloud::{
    Cloud as Model, GroupSight, Options, Sight,
    http::{Handle, Server, Settings},
    scenario::{Address, GroupAddress, NewGroup, NewService, Step},
};
use tokio::sync::oneshot;

/// The account of everything in tests.
pub const ACCOUNT: &str = "123456789012";
/// The region of everything in tests.
pub const REGION: &str = "eu-central-1";

/// A running cloud.
pub struct Cloud {
    address: SocketAddr,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cloud {
    /// Start one. The log file, if any, gets a line for each call before its answer.
    #[must_use]
    pub fn start(seed: u64, options: Options, log_file: Option<PathBuf>) -> Self {
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                #[expect(clippy::disallowed_methods, reason = "the world outside has the real time")]
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                let settings = Settings {
                    account: ACCOUNT.into(),
                    region: REGION.into(),
                    start_ms: u64::try_from(now.as_millis()).expect("before the year 500 million"),
                    log_file,
                    keys: std::collections::BTreeMap::new(),
                };
                let address = "127.0.0.1:0".parse().expect("an address");
                let server = Server::bind(address, Model::new(seed, options), settings).await.expect("a cloud");
                ready.send((server.address(), server.handle())).expect("the test waits");
                server.run(async { drop(stopped.await) }).await.expect("the cloud runs");
            });
        });
        let (address, handle) = is_ready.recv().expect("the cloud is up");
        Self { address, handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Do something with the model, at the world's time.
    pub fn with<T>(&self, act: impl FnOnce(&mut Model, u64) -> T) -> T {
        self.handle.with(act)
    }

    /// A step of a scenario.
    pub fn play(&self, step: &Step) {
        self.play_on(step);
    }

    /// A step of a scenario, and the id of the task or instance that it touched, if it touched one.
    pub fn play_on(&self, step: &Step) -> Option<String> {
        let step = step.clone().at_home(ACCOUNT, REGION);
        self.with(|cloud, now| cloud.play(now, &step)).expect("the step can be played")
    }

    /// A steady service in cluster `prod`.
    pub fn create_service(&self, name: &str, desired: u32) {
        self.play(&Step::CreateService(NewService { address: address(name), desired, ..NewService::default() }));
    }

    /// A steady group that may have 2 to 12 instances, and cools down from a change for so long.
    pub fn create_group(&self, name: &str, desired: u32, cooldown_ms: u64) {
        let (min, max) = (2, 12);
        let new = NewGroup { address: group_address(name), desired, min, max, cooldown_ms, ..NewGroup::default() };
        self.play(&Step::CreateGroup(new));
    }

    /// A group as it is.
    #[must_use]
    pub fn group(&self, name: &str) -> GroupSight {
        let sights = self.with(|cloud, now| cloud.look_at_groups(now, 0, 1_000_000));
        sights.into_iter().find(|sight| sight.group.auto_scaling_group_name == name).expect("the group is there")
    }

    /// A service as it is.
    #[must_use]
    pub fn service(&self, name: &str) -> Sight {
        let sights = self.with(|cloud, now| cloud.look(now, 0, 1_000_000));
        sights.into_iter().find(|sight| sight.service.service_name == name).expect("the service is there")
    }

    /// How many tasks a service shall run.
    #[must_use]
    pub fn desired(&self, name: &str) -> u32 {
        self.service(name).service.desired_count
    }
}

/// A group.
#[must_use]
pub fn group_address(group: &str) -> GroupAddress {
    GroupAddress { group: group.into(), ..GroupAddress::default() }
}

/// A group as the host names it.
#[must_use]
pub fn group_arn(group: &str) -> String {
    format!("arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/{group}")
}

/// A service of cluster `prod`.
#[must_use]
pub fn address(service: &str) -> Address {
    Address { cluster: "prod".into(), service: service.into(), ..Address::default() }
}

/// A service of cluster `prod` as the host names it.
#[must_use]
pub fn arn(service: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/prod/{service}")
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
