//! moto: AWS as somebody else understood it, a server of its own.
//!
//! It is asked over the wires of ECS (JSON 1.1) and Auto Scaling (query protocol) with a few lines of HTTP, so that what a
//! test reads there came through nothing that the host uses.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Dir, cloud::REGION, http, wait};

/// The variable that names the program `moto_server`. `cargo xtask test` installs it and sets this.
pub const PROGRAM: &str = "BALM_TEST_MOTO";

/// How long the server may take: it starts in two seconds, and imports a service when it is first asked.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server. It is killed when this goes.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    address: String,
    _dir: Dir,
}

impl Moto {
    /// Start one, if this machine has it. A service that is created runs `steady` tasks from the beginning.
    ///
    /// # Panics
    ///
    /// If it cannot be started although it is there.
    #[must_use]
    pub fn start(name: &str, steady: u32) -> Option<Self> {
        let program = PathBuf::from(env::var_os(PROGRAM)?);
        let dir = Dir::new(name);
        let log = dir.path().join("moto.log");
        let output = File::create(&log).expect("a log file");
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("MOTO_ECS_SERVICE_RUNNING", steady.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor"))
            .stderr(output)
            .spawn()
            .expect("moto starts");
        let address = wait::until("moto to be ready", READY_WITHIN, || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(child.try_wait().expect("it is our child").is_none(), "moto ended: {said}");
            let rest = said.split_once("Running on http://")?.1;
            Some(rest.split_once(char::is_whitespace)?.0.to_owned())
        });
        Some(Self { child, address, _dir: dir })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A cluster, a task definition and a service of it that shall run so many tasks.
    pub fn create_service(&self, cluster: &str, service: &str, desired: u32) {
        self.ecs("CreateCluster", &json!({"clusterName": cluster}));
        let container = json!({"name": service, "image": "web:1", "memory": 64});
        self.ecs("RegisterTaskDefinition", &json!({"family": service, "containerDefinitions": [container]}));
        let service =
            json!({"cluster": cluster, "serviceName": service, "taskDefinition": service, "desiredCount": desired});
        self.ecs("CreateService", &service);
    }

    /// A service as `DescribeServices` tells it.
    #[must_use]
    pub fn service(&self, cluster: &str, service: &str) -> Value {
        self.ecs("DescribeServices", &json!({"cluster": cluster, "services": [service]}))["services"][0].clone()
    }

    /// A group that may have 1 to 12 instances.
    pub fn create_group(&self, group: &str, desired: u32) {
        let launch = format!("LaunchConfigurationName={group}");
        self.asg("CreateLaunchConfiguration", &format!("{launch}&ImageId=ami-12c6146b&InstanceType=t3.small"));
        let zones = format!("AvailabilityZones.member.1={REGION}a");
        let counts = format!("MinSize=1&MaxSize=12&DesiredCapacity={desired}");
        self.asg("CreateAutoScalingGroup", &format!("AutoScalingGroupName={group}&{launch}&{counts}&{zones}"));
    }

    /// The ids of a group's instances, as `DescribeAutoScalingGroups` tells them.
    #[must_use]
    pub fn instances(&self, group: &str) -> Vec<String> {
        let answer = self.asg("DescribeAutoScalingGroups", &format!("AutoScalingGroupNames.member.1={group}"));
        let id = |rest: &str| rest.split_once("</InstanceId>").map(|(id, _)| id.trim().to_owned());
        answer.split("<InstanceId>").skip(1).filter_map(id).collect()
    }

    /// An instance's health checks fail.
    pub fn sicken(&self, instance: &str) {
        self.asg("SetInstanceHealth", &format!("HealthStatus=Unhealthy&InstanceId={instance}"));
    }

    /// One call of Auto Scaling.
    fn asg(&self, action: &str, form: &str) -> String {
        let authorization = authorization("autoscaling");
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("authorization", authorization.as_str())];
        let form = format!("Action={action}&Version=2011-01-01&{form}");
        let answer = http::post(&self.address, "/", &headers, form.as_bytes()).expect("moto answers");
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        answer.body
    }

    /// One call of ECS.
    fn ecs(&self, operation: &str, request: &Value) -> Value {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let authorization = authorization("ecs");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
            ("authorization", authorization.as_str()),
        ];
        let answer = http::post(&self.address, "/", &headers, request.to_string().as_bytes()).expect("moto answers");
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

/// Nobody checks the signature; moto reads service and region from it.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
