//! `balm iam`: the least policy in AWS that the configuration needs.
//!
//! It owns which permission each query and action of the catalogue costs, and how far AWS lets it be narrowed. The facts are
//! those of AWS's Service Authorization Reference ("Actions, resources, and condition keys for Amazon Elastic Container
//! Service", and the same for Amazon EC2 Auto Scaling): services, tasks and groups can be named, `ListTasks` only by its
//! cluster, and what describes groups not at all. `sts:GetCallerIdentity` needs no permission.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use balm_core::{
    configuration::{Mode, Policy, Targets},
    guard::Rules,
    name::{PluginName, PolicyName},
    record::Manifest,
    target::{AccountId, Resource, Target},
};
use balm_sandbox::Sandbox;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::out;
use crate::{
    compile::Compiler,
    config::{self, Config},
    plugins::{directory, read_once},
};

/// The name under which `--account` shows what the host's own identity needs.
const HOST: &str = "host";

#[derive(Debug, Args)]
pub(super) struct Iam {
    /// The configuration.
    #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Only this account's, or `host` for what the host's own identity needs.
    #[arg(long, value_name = "ID|host")]
    account: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A policy document.
    Json,
    /// Data sources `aws_iam_policy_document`.
    Terraform,
}

/// How far AWS lets a permission be narrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// To the target itself.
    Target,
    /// To the tasks of the target's cluster.
    Tasks,
    /// To the target's cluster, as a condition; the resource is `*`.
    Cluster,
    /// Not at all.
    Nothing,
}

/// What a query costs, or looking for an action.
fn reading(name: &str) -> &'static [(&'static str, Reach)] {
    match name {
        "ecs:tasks" | "ecs:stop-task" => &[
            ("ecs:DescribeServices", Reach::Target),
            ("ecs:ListTasks", Reach::Cluster),
            ("ecs:DescribeTasks", Reach::Tasks),
        ],
        "ecs:service" | "ecs:scale-service" | "ecs:redeploy-service" => &[("ecs:DescribeServices", Reach::Target)],
        "asg:group" | "asg:set-desired-capacity" | "asg:terminate-instance" | "asg:start-instance-refresh" => &[
            ("autoscaling:DescribeAutoScalingGroups", Reach::Nothing),
            ("autoscaling:DescribeInstanceRefreshes", Reach::Nothing),
        ],
        _ => &[],
    }
}

/// What an action costs beyond looking.
fn writing(name: &str) -> &'static [(&'static str, Reach)] {
    match name {
        "ecs:scale-service" | "ecs:redeploy-service" => &[("ecs:UpdateService", Reach::Target)],
        "ecs:stop-task" => &[("ecs:StopTask", Reach::Tasks)],
        "asg:set-desired-capacity" => &[("autoscaling:SetDesiredCapacity", Reach::Target)],
        "asg:terminate-instance" => &[("autoscaling:TerminateInstanceInAutoScalingGroup", Reach::Target)],
        "asg:start-instance-refresh" => &[("autoscaling:StartInstanceRefresh", Reach::Target)],
        _ => &[],
    }
}

/// The permissions of one identity: resources by condition and call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Document {
    /// Calls on named resources.
    named: BTreeMap<&'static str, BTreeSet<String>>,
    /// Calls that only a cluster narrows.
    by_cluster: BTreeMap<&'static str, BTreeSet<String>>,
}

/// One statement of a document.
struct Statement {
    calls: Vec<&'static str>,
    resources: Vec<String>,
    clusters: Vec<String>,
}

pub(super) fn run(iam: &Iam) -> anyhow::Result<()> {
    let config = config::load(&iam.config)?;
    let mut documents = documents(&config, &manifests(&config)?)?;
    if let Some(wanted) = &iam.account {
        let known = documents.keys().cloned().collect::<Vec<_>>().join(", ");
        documents.retain(|name, _| name == wanted);
        if documents.is_empty() {
            bail!("nothing is needed as {wanted}; there are: {known}");
        }
    }
    let text = match (iam.format, documents.len()) {
        (Format::Terraform, _) => documents.iter().map(|(name, document)| document.terraform(name)).collect(),
        (Format::Json, 1) => documents.values().map(|document| format!("{:#}\n", document.json())).collect(),
        (Format::Json, 0) => bail!("no account is configured: nothing is needed"),
        (Format::Json, _) => {
            let known = documents.keys().cloned().collect::<Vec<_>>().join(", ");
            bail!("there are several: choose one with --account: {known}")
        }
    };
    let text: String = text;
    out::write(text)?;
    Ok(())
}

/// What every plugin says of itself: only what it declares can it ask and propose.
fn manifests(config: &Config) -> anyhow::Result<BTreeMap<PluginName, Manifest>> {
    let compiler = Compiler::forgetting(Arc::new(Sandbox::new()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let used: BTreeSet<&PluginName> = config.core.policies.values().map(|policy| &policy.plugin).collect();
    let mut manifests = BTreeMap::new();
    for name in used {
        let file = directory::wasm(&config.plugins, name);
        if !file.exists() {
            bail!("there is no plugin {name}.wasm in {}", config.plugins.display());
        }
        let loaded = read_once(&file).and_then(|bytes| runtime.block_on(compiler.load(name, &bytes)));
        let plugin = loaded.map_err(|why| anyhow::anyhow!("plugin {name}: {}: {why}", file.display()))?;
        manifests.insert(name.clone(), plugin.manifest().clone());
    }
    Ok(manifests)
}

/// What each identity needs, by account, and as `host` the taking on of roles.
fn documents(
    config: &Config,
    manifests: &BTreeMap<PluginName, Manifest>,
) -> anyhow::Result<BTreeMap<String, Document>> {
    let rules = Rules::compile(&config.core.guardrails.rules).unwrap_or_else(|_| Rules::none());
    let accounts = config.accounts.iter().map(|account| (account.id, Document::default()));
    let mut by_account: BTreeMap<AccountId, Document> = accounts.collect();
    for (name, policy) in config.core.policies.iter().filter(|(_, policy)| policy.mode != Mode::Off) {
        let manifest =
            manifests.get(&policy.plugin).with_context(|| format!("plugin {} is not there", policy.plugin))?;
        for target in targets(policy)? {
            // What lies in no configured account is never touched.
            let Some(document) = by_account.get_mut(&target.account) else { continue };
            document.grant(&rules, name, policy.mode, manifest, &target);
        }
    }
    let mut documents: BTreeMap<String, Document> =
        by_account.into_iter().map(|(account, document)| (account.to_string(), document)).collect();
    let roles: BTreeSet<String> = config.accounts.iter().filter_map(|account| account.role.clone()).collect();
    if !roles.is_empty() {
        let named = [("sts:AssumeRole", roles)].into();
        documents.insert(HOST.into(), Document { named, ..Document::default() });
    }
    Ok(documents)
}

/// Every target that a policy may ever have.
fn targets(policy: &Policy) -> anyhow::Result<Vec<Target>> {
    match &policy.targets {
        Targets::Fixed(targets) => Ok(targets.clone()),
        Targets::EcsServiceFromLabel { account, region, cluster, allowed, .. } => {
            let one = |name: &String| Ok(Target::ecs_service(*account, region.clone(), cluster, name)?);
            allowed.iter().map(one).collect()
        }
        Targets::AsgGroupFromLabel { account, region, allowed, .. } => {
            let one = |name: &String| Ok(Target::asg_group(*account, region.clone(), name)?);
            allowed.iter().map(one).collect()
        }
    }
}

impl Document {
    fn grant(&mut self, rules: &Rules, policy: &PolicyName, mode: Mode, manifest: &Manifest, target: &Target) {
        // A plugin may know several kinds of targets; each costs what is done with its own kind.
        let kind = match target.resource {
            Resource::EcsService { .. } => "ecs:",
            Resource::AsgGroup { .. } => "asg:",
        };
        let of_kind = |names: &'_ [String]| -> Vec<String> {
            names.iter().filter(|name| name.starts_with(kind)).cloned().collect()
        };
        let (queries, actions) = (of_kind(&manifest.queries), of_kind(&manifest.actions));
        for name in queries.iter().chain(&actions) {
            self.add(reading(name), target);
        }
        let may_act = matches!(mode, Mode::Enforce | Mode::Suggest);
        for action in actions.iter().filter(|action| may_act && rules.could_permit(policy, action, target)) {
            self.add(writing(action), target);
        }
    }

    fn add(&mut self, calls: &[(&'static str, Reach)], target: &Target) {
        let Target { account, region, resource } = target;
        let ecs = format!("arn:{}:ecs:{region}:{account}", target.partition());
        for (call, reach) in calls {
            let (of, resource) = match (reach, resource) {
                (Reach::Tasks, Resource::EcsService { cluster, .. }) => {
                    (&mut self.named, format!("{ecs}:task/{cluster}/*"))
                }
                (Reach::Cluster, Resource::EcsService { cluster, .. }) => {
                    (&mut self.by_cluster, format!("{ecs}:cluster/{cluster}"))
                }
                (Reach::Nothing, _) => (&mut self.named, "*".into()),
                // A group has neither tasks nor a cluster, and nothing of it is priced by them.
                (Reach::Target | Reach::Tasks | Reach::Cluster, _) => (&mut self.named, target.to_string()),
            };
            of.entry(call).or_default().insert(resource);
        }
    }

    /// Calls on the same resources share a statement.
    fn statements(&self) -> Vec<Statement> {
        let grouped = |of: &BTreeMap<&'static str, BTreeSet<String>>| {
            let mut groups: BTreeMap<Vec<String>, Vec<&'static str>> = BTreeMap::new();
            for (call, resources) in of {
                groups.entry(resources.iter().cloned().collect()).or_default().push(call);
            }
            groups
        };
        let named = grouped(&self.named).into_iter().map(|(resources, calls)| Statement {
            calls,
            resources,
            clusters: Vec::new(),
        });
        let by_cluster = grouped(&self.by_cluster).into_iter().map(|(clusters, calls)| Statement {
            calls,
            resources: vec!["*".into()],
            clusters,
        });
        named.chain(by_cluster).collect()
    }

    fn json(&self) -> Value {
        let statement = |Statement { calls, resources, clusters }: Statement| {
            let mut statement = json!({ "Effect": "Allow", "Action": calls, "Resource": resources });
            if !clusters.is_empty() {
                statement["Condition"] = json!({ "ArnEquals": { "ecs:cluster": clusters } });
            }
            statement
        };
        let statements: Vec<Value> = self.statements().into_iter().map(statement).collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    fn terraform(&self, name: &str) -> String {
        let list = |items: &[String]| {
            let quoted: Vec<String> =
                items.iter().map(|item| format!("      {},\n", Value::from(item.as_str()))).collect();
            format!("[\n{}    ]", quoted.concat())
        };
        let mut text = format!("data \"aws_iam_policy_document\" \"balm_{name}\" {{\n");
        for (index, Statement { calls, resources, clusters }) in self.statements().into_iter().enumerate() {
            let calls: Vec<String> = calls.into_iter().map(Into::into).collect();
            let gap = if index == 0 { "" } else { "\n" };
            text.push_str(&format!(
                "{gap}  statement {{\n    actions = {}\n    resources = {}\n",
                list(&calls),
                list(&resources)
            ));
            if !clusters.is_empty() {
                let values = list(&clusters).replace("\n    ", "\n      ");
                text.push_str(&format!(
                    "\n    condition {{\n      test     = \"ArnEquals\"\n      variable = \"ecs:cluster\"\n      values   = {values}\n    }}\n"
                ));
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    fn granted(mode: Mode, actions: &[&str], rule: &str) -> Value {
        let rules = Rules::compile(&[("web.cedar".to_owned(), rule.to_owned())].into()).expect("rules");
        let manifest = Manifest {
            actions: actions.iter().map(ToString::to_string).collect(),
            queries: vec!["ecs:service".into()],
            ..Manifest::default()
        };
        let mut document = Document::default();
        document.grant(&rules, &"web-cpu".parse().expect("a name"), mode, &manifest, &WEB.parse().expect("a target"));
        document.json()["Statement"].clone()
    }

    fn allow(calls: &[&str], resource: &str) -> Value {
        json!({ "Effect": "Allow", "Action": calls, "Resource": [resource] })
    }

    const ALL: &str = "permit(principal, action, resource);";

    #[test]
    fn a_policy_in_shadow_reads_and_nothing_more() {
        let read = json!([allow(&["ecs:DescribeServices"], WEB)]);
        assert_eq!(granted(Mode::Shadow, &["ecs:scale-service"], ALL), read);
        assert_eq!(granted(Mode::Enforce, &["ecs:scale-service"], ""), read, "no rule permits it");
        assert_eq!(granted(Mode::Enforce, &[], ALL), read, "the plugin cannot propose it");
    }

    #[test]
    fn what_a_policy_may_do_is_narrowed_to_its_target() {
        let both = json!([allow(&["ecs:DescribeServices", "ecs:UpdateService"], WEB)]);
        assert_eq!(granted(Mode::Enforce, &["ecs:scale-service", "ecs:redeploy-service"], ALL), both);
    }

    #[test]
    fn tasks_are_narrowed_to_their_cluster() {
        let tasks = "arn:aws:ecs:eu-central-1:123456789012:task/prod/*";
        let cluster = "arn:aws:ecs:eu-central-1:123456789012:cluster/prod";
        let mut list = allow(&["ecs:ListTasks"], "*");
        list["Condition"] = json!({ "ArnEquals": { "ecs:cluster": [cluster] } });
        let wanted =
            json!([allow(&["ecs:DescribeServices"], WEB), allow(&["ecs:DescribeTasks", "ecs:StopTask"], tasks), list]);
        assert_eq!(granted(Mode::Suggest, &["ecs:stop-task"], ALL), wanted);
    }

    #[test]
    fn a_group_is_named_where_it_is_changed_and_cannot_be_where_it_is_read() {
        const FLEET: &str =
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";
        let rules = Rules::compile(&[("fleet.cedar".to_owned(), ALL.to_owned())].into()).expect("rules");
        let manifest = Manifest {
            actions: vec!["asg:terminate-instance".into(), "ecs:stop-task".into()],
            queries: vec!["asg:group".into(), "ecs:tasks".into()],
            ..Manifest::default()
        };
        let mut document = Document::default();
        let (policy, fleet) = ("fleet".parse().expect("a name"), FLEET.parse().expect("a target"));
        document.grant(&rules, &policy, Mode::Enforce, &manifest, &fleet);
        let read = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeInstanceRefreshes"];
        let wanted = json!([allow(&read, "*"), allow(&["autoscaling:TerminateInstanceInAutoScalingGroup"], FLEET)]);
        assert_eq!(document.json()["Statement"], wanted);
    }

    #[test]
    fn every_action_and_query_of_the_catalogue_has_its_price() {
        for action in balm_catalogue::ACTIONS {
            assert!(!reading(action).is_empty() && !writing(action).is_empty(), "{action}");
        }
        for query in balm_catalogue::QUERIES {
            assert!(!reading(query).is_empty(), "{query}");
        }
    }
}
