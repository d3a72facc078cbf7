//! AWS: one client per account and region of the configuration, and whose account each really is.
//!
//! It owns credentials, endpoints, timeouts and retries: reads are retried by the SDK, changes never are. It refuses to
//! know what is read and changed; `look` and `act` do that with its clients.

use std::{collections::BTreeMap, time::Duration};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider};
use aws_smithy_http_client::{
    Builder as HttpClientBuilder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_types::{error::display::DisplayErrorContext, timeout::TimeoutConfig};
use balm_core::target::{AccountId, Region, Target};

use crate::config::AwsAccount;

/// How long a connection to AWS may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// Attempts of a read: the SDK's own, with its backoff.
const READ_ATTEMPTS: u32 = 3;

/// Clients for every account and region that is configured.
pub(crate) struct Aws {
    places: BTreeMap<(AccountId, Region), Place>,
}

/// An account in a region.
pub(crate) struct Place {
    /// For looking at services.
    pub(crate) ecs: aws_sdk_ecs::Client,
    /// For changing them: no retries.
    pub(crate) ecs_once: aws_sdk_ecs::Client,
    /// For looking at groups.
    pub(crate) asg: aws_sdk_autoscaling::Client,
    /// For changing them: no retries.
    pub(crate) asg_once: aws_sdk_autoscaling::Client,
    sts: aws_sdk_sts::Client,
}

/// Whose an account is could not be asked; or it is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The credentials are the account's, under this name.
    Right(String),
    /// They are another account's: nothing is done with them.
    Wrong(String),
    /// AWS did not say.
    Unknown(String),
}

impl Aws {
    /// Make the clients. Nothing is called yet.
    pub(crate) async fn new(accounts: &[AwsAccount], call_timeout: Duration) -> Self {
        let mut places = BTreeMap::new();
        for account in accounts {
            for region in &account.regions {
                places.insert((account.id, region.clone()), place(account, region, call_timeout).await);
            }
        }
        Self { places }
    }

    /// The clients for a target's account and region, if they are configured.
    pub(crate) fn place(&self, target: &Target) -> Option<&Place> {
        self.places.get(&(target.account, target.region.clone()))
    }

    /// Every account and region.
    pub(crate) fn places(&self) -> impl Iterator<Item = &(AccountId, Region)> {
        self.places.keys()
    }

    /// Ask whose account the credentials for one are.
    pub(crate) async fn identity(&self, account: AccountId, region: &Region) -> Identity {
        let Some(place) = self.places.get(&(account, region.clone())) else {
            return Identity::Unknown("it is not configured".into());
        };
        match place.sts.get_caller_identity().send().await {
            Ok(answer) if answer.account() == Some(account.as_str()) => {
                Identity::Right(answer.arn().unwrap_or(account.as_str()).to_owned())
            }
            Ok(answer) => {
                let whose = answer.account().unwrap_or("nobody");
                Identity::Wrong(format!("they belong to account {whose}: mend the credentials or the configuration"))
            }
            Err(error) => Identity::Unknown(format!("AWS did not say whose they are: {}", DisplayErrorContext(&error))),
        }
    }
}

async fn place(account: &AwsAccount, region: &Region, call_timeout: Duration) -> Place {
    let config = load(account, region, call_timeout).await;
    let reads = RetryConfig::standard().with_max_attempts(READ_ATTEMPTS);
    let reading = config.to_builder().retry_config(reads).build();
    let changing = config.to_builder().retry_config(RetryConfig::disabled()).build();
    Place {
        ecs: aws_sdk_ecs::Client::new(&reading),
        ecs_once: aws_sdk_ecs::Client::new(&changing),
        asg: aws_sdk_autoscaling::Client::new(&reading),
        asg_once: aws_sdk_autoscaling::Client::new(&changing),
        sts: aws_sdk_sts::Client::new(&reading),
    }
}

async fn load(account: &AwsAccount, region: &Region, call_timeout: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT.min(call_timeout))
        .read_timeout(call_timeout)
        .operation_attempt_timeout(call_timeout)
        .operation_timeout(call_timeout * READ_ATTEMPTS)
        .build();
    let http = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(SdkRegion::new(region.as_str().to_owned()))
        .timeout_config(timeouts)
        .http_client(http);
    if let Some(endpoint) = &account.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let config = loader.load().await;
    let Some(role) = &account.role else { return config };
    let role = AssumeRoleProvider::builder(role).session_name("balm").configure(&config).build().await;
    config.into_builder().credentials_provider(aws_sdk_ecs::config::SharedCredentialsProvider::new(role)).build()
}
