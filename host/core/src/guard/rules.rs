//! Rules: Cedar policies, validated strictly against our schema, and asked one question.
//!
//! Cedar skips a rule whose evaluation errs. For a `forbid` that would widen what is allowed, so here any error is a
//! refusal. It refuses to know intents; `authorization` turns one into a question.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;

use super::{memory::Memory, named, slices::Slices};

/// The schema that rules are validated against, in Cedar's own notation.
pub const SCHEMA: &str = include_str!("balm.cedarschema");

/// Rules that were read and validated.
#[derive(Debug)]
pub struct Rules {
    pub(super) set: PolicySet,
    authorizer: Authorizer,
    /// The actions and the groups they are in.
    pub(super) actions: Entities,
    slices: Slices,
    memory: Memory,
    warnings: Vec<Mistake>,
    policies: Vec<Naming>,
}

/// A rule names a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The policy.
    pub policy: String,
}

/// Something wrong in a file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to do where Cedar knows it.
    pub message: String,
}

/// One question to the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question<'a> {
    pub(super) policy: Cow<'a, str>,
    pub(super) plugin: String,
    pub(super) digest: String,
    pub(super) action: &'static str,
    pub(super) resource: Resource<'a>,
    pub(super) numbers: [(&'static str, u32); 9],
    pub(super) severity: Cow<'a, str>,
    pub(super) undo: bool,
    pub(super) approvals: u32,
}

/// The target of a question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Resource<'a> {
    /// Its entity type in the schema.
    pub(super) kind: &'static str,
    pub(super) arn: String,
    pub(super) account: Cow<'a, str>,
    /// The ARN of the cluster that it is in, if it is in one.
    pub(super) cluster: Option<String>,
    pub(super) attributes: Vec<(&'static str, Cow<'a, str>)>,
    pub(super) tags: Cow<'a, BTreeMap<String, String>>,
}

impl Question<'_> {
    /// One that may outlive what it was asked about.
    pub(super) fn into_owned(self) -> Question<'static> {
        let Self { policy, plugin, digest, action, resource, numbers, severity, undo, approvals } = self;
        let Resource { kind, arn, account, cluster, attributes, tags } = resource;
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let attributes = attributes.into_iter().map(|(name, value)| (name, own(value))).collect();
        let tags = Cow::Owned(tags.into_owned());
        let resource = Resource { kind, arn, account: own(account), cluster, attributes, tags };
        let (policy, severity) = (own(policy), own(severity));
        Question { policy, plugin, digest, action, resource, numbers, severity, undo, approvals }
    }
}

impl Rules {
    /// No rules: nothing is permitted.
    #[must_use]
    pub fn none() -> Self {
        Self::of(PolicySet::new())
    }

    /// Read and validate the texts of rule files, by file name. All mistakes of all files are returned.
    pub fn compile(files: &BTreeMap<String, String>) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut set = PolicySet::new();
        for (file, text) in files {
            match text.parse::<PolicySet>() {
                Ok(parsed) => mistakes.extend(adopt(&mut set, file, text, &parsed)),
                Err(errors) => mistakes.extend(errors.iter().map(|error| Mistake::new(file, text, error))),
            }
        }
        let result = VALIDATOR.validate(&set, ValidationMode::Strict);
        let in_file = |rule: &PolicyId, diagnostic: &dyn Diagnostic| {
            let (file, text) = file_of(files, rule);
            Mistake::new(file, text, diagnostic)
        };
        mistakes.extend(result.validation_errors().map(|error| in_file(error.policy_id(), error)));
        let mut rules = Self::of(set);
        // Cedar says of a rule that never applies which part of it cannot be, and last that it is impossible: once is enough.
        let warnings = result.validation_warnings().map(|warning| (warning.policy_id(), warning));
        let warnings: BTreeMap<&PolicyId, _> = warnings.collect();
        rules.warnings.extend(warnings.into_iter().map(|(rule, warning)| in_file(rule, warning)));
        mistakes.extend(rules.read_names(files));
        // Rules are kept in no order.
        rules.warnings.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        mistakes.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
    }

    fn of(set: PolicySet) -> Self {
        let actions = ACTIONS.clone();
        let (slices, memory) = (Slices::default(), Memory::default());
        Self { set, authorizer: Authorizer::new(), actions, slices, memory, warnings: vec![], policies: vec![] }
    }

    /// Note what the rules name and ask. Ids that nothing has are mistakes.
    fn read_names(&mut self, files: &BTreeMap<String, String>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for rule in self.set.policies() {
            let (file, text) = file_of(files, rule.id());
            // What cannot be written as JSON is a template, which is a mistake of its own.
            let json = rule.to_json().unwrap_or_default();
            for (kind, id) in named::entities(&json) {
                let line = line_of(text, &format!("{kind}::{id:?}"));
                if let Err(message) = named::check_id(kind, id) {
                    mistakes.push(Mistake { file: file.into(), line, message });
                } else if kind == "Policy" {
                    self.policies.push(Naming { file: file.into(), line, policy: id.into() });
                }
            }
            for message in named::constants(&json) {
                let asked = message.split(" is ").next().unwrap_or_default();
                self.warnings.push(Mistake { file: file.into(), line: line_of(text, asked), message });
            }
        }
        mistakes
    }

    /// What is no mistake, and yet surely not what was meant: rules that never apply, comparisons that no question changes.
    #[must_use]
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// The policies that rules name.
    #[must_use]
    pub fn policies(&self) -> &[Naming] {
        &self.policies
    }

    /// How many rules there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.set.num_of_policies()
    }

    /// The rules that permit it, or why it is not permitted.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<String, String> {
        self.memory.answer(question, || self.ask_cedar(question))
    }

    fn ask_cedar(&self, question: &Question<'_>) -> Result<String, String> {
        let (request, entities) =
            self.build(question).map_err(|error| format!("the rules cannot be asked: {error}"))?;
        let rules = self.slices.of(&self.set, &self.actions, &request);
        let response = self.authorizer.is_authorized(&request, &rules, &entities);
        let names = || {
            let mut names: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
            names.sort();
            names.join(", ")
        };
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(format!("a rule could not be evaluated: {error}"));
        }
        match response.decision() {
            Decision::Allow => Ok(names()),
            Decision::Deny if response.diagnostics().reason().next().is_none() => Err("no rule permits it".into()),
            Decision::Deny => Err(format!("forbidden by {}", names())),
        }
    }
}

/// Our schema, read once: to read it takes longer than the rules of a host.
static PARSED: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).expect("our schema is valid, which a test proves");
    schema
});

/// Validates rules against it.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(PARSED.clone()));

/// Its actions.
static ACTIONS: LazyLock<Entities> =
    LazyLock::new(|| PARSED.action_entities().expect("our schema's actions form no cycle"));

/// The name and text of the file that a rule is from.
fn file_of<'a>(files: &'a BTreeMap<String, String>, rule: &'a PolicyId) -> (&'a str, &'a str) {
    let name: &str = rule.as_ref();
    let file = name.rsplit_once('#').map_or(name, |(file, _)| file);
    (file, files.get(file).map_or("", String::as_str))
}

/// The line on which some words stand first, or the first line.
fn line_of(text: &str, words: &str) -> usize {
    let offset = text.find(words).unwrap_or(0);
    text.as_bytes().iter().take(offset).filter(|c| **c == b'\n').count() + 1
}

/// Take over a file's rules under names that tell the file and the place in it.
fn adopt(set: &mut PolicySet, file: &str, text: &str, parsed: &PolicySet) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if parsed.templates().next().is_some() {
        let message = "templates are not supported: write a rule for each principal and resource".into();
        mistakes.push(Mistake { file: file.into(), line: 1, message });
    }
    for policy in parsed.policies() {
        if let Err(error) = set.add(policy.new_id(PolicyId::new(rule_name(file, policy)))) {
            mistakes.push(Mistake::new(file, text, &error));
        }
    }
    mistakes
}

/// `web.cedar#0`, or what the rule's own `@id` says: `web.cedar#scale-web`.
fn rule_name(file: &str, policy: &Policy) -> String {
    let place = policy.id().to_string();
    let own = policy.annotation("id").unwrap_or_else(|| place.trim_start_matches("policy"));
    format!("{file}#{own}")
}

impl Mistake {
    fn new(file: &str, text: &str, error: &dyn Diagnostic) -> Self {
        let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
        let line = text.as_bytes().iter().take(offset).filter(|c| **c == b'\n').count() + 1;
        let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
        Self { file: file.into(), line, message: format!("{error}{help}") }
    }
}

/// `file:line: message`
impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl Rules {
    fn build(&self, question: &Question<'_>) -> Result<(Request, Entities), Box<dyn std::error::Error>> {
        let Resource { kind, arn, account, cluster, attributes: own, tags } = &question.resource;
        let (policy, target, account) = (uid("Policy", &question.policy), uid(kind, arn), uid("Account", account));
        let cluster = cluster.as_ref().map(|arn| uid("Cluster", arn));
        let parent = cluster.clone().unwrap_or_else(|| account.clone());
        let principal =
            attributes(&[("plugin", Cow::Borrowed(&question.plugin)), ("digest", Cow::Borrowed(&question.digest))]);
        let tags = tags.iter().map(|(name, value)| (name.clone(), string(value)));
        let entities = [
            Entity::new(policy.clone(), principal, HashSet::new())?,
            Entity::new_no_attrs(account.clone(), HashSet::new()),
            Entity::new_with_tags(target.clone(), attributes(own), [parent], tags)?,
        ];
        let cluster = cluster.map(|cluster| Entity::new_no_attrs(cluster, [account].into()));
        let entities = entities.into_iter().chain(cluster);
        // Without the schema: that questions conform to it is proved by a test, and checking each costs as much again.
        let entities = self.actions.clone().add_entities(entities, None)?;
        let request = Request::new(policy, uid("Action", question.action), target, question.context()?, None)?;
        Ok((request, entities))
    }
}

/// Our entity types. Each is read once: Cedar's parser takes longer for a name than a rule takes to be evaluated.
static KINDS: LazyLock<BTreeMap<&str, EntityTypeName>> = LazyLock::new(|| {
    let kinds = ["Policy", "Action", "Account", "Cluster", "Service", "Group"];
    kinds.map(|kind| (kind, kind.parse().expect("our entity types are identifiers"))).into()
});

pub(super) fn uid(kind: &str, id: &str) -> EntityUid {
    let kind = KINDS.get(kind).expect("every question speaks of our entity types, which a test proves");
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn string(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.into())
}

fn attributes(pairs: &[(&str, Cow<'_, str>)]) -> HashMap<String, RestrictedExpression> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), string(value))).collect()
}

impl Question<'_> {
    fn context(&self) -> Result<Context, Box<dyn std::error::Error>> {
        let long = |number: u32| RestrictedExpression::new_long(number.into());
        let numbers = self.numbers.iter().map(|(name, number)| ((*name).to_owned(), long(*number)));
        let others = [
            ("severity".to_owned(), string(&self.severity)),
            ("undo".to_owned(), RestrictedExpression::new_bool(self.undo)),
            ("approvals".to_owned(), long(self.approvals)),
        ];
        Ok(Context::from_pairs(numbers.chain(others))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Rules, Vec<Mistake>> {
        Rules::compile(&[("web.cedar".to_owned(), text.to_owned())].into())
    }

    fn question<'a>(tags: &'a BTreeMap<String, String>) -> Question<'a> {
        let numbers = ["from", "to", "desired", "running", "pending", "changing", "hour", "weekday", "attempts"];
        let account = "123456789012";
        let resource = Resource {
            kind: "Service",
            arn: "arn:aws:ecs:eu-central-1:123456789012:service/prod/web".into(),
            account: account.into(),
            cluster: Some("arn:aws:ecs:eu-central-1:123456789012:cluster/prod".into()),
            attributes: [("account", account), ("region", "eu-central-1"), ("cluster", "prod"), ("name", "web")]
                .map(|(name, value)| (name, value.into()))
                .into(),
            tags: Cow::Borrowed(tags),
        };
        Question {
            policy: "web-cpu".into(),
            plugin: "scale-ecs-service".into(),
            digest: "00".into(),
            action: "ecs:scale-service",
            resource,
            numbers: numbers.map(|name| (name, 4)),
            severity: "critical".into(),
            undo: false,
            approvals: 0,
        }
    }

    fn group<'a>(tags: &'a BTreeMap<String, String>) -> Resource<'a> {
        let account = "123456789012";
        Resource {
            kind: "Group",
            arn: "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet".into(),
            account: account.into(),
            cluster: None,
            attributes: [("account", account), ("region", "eu-central-1"), ("name", "fleet")]
                .map(|(name, value)| (name, value.into()))
                .into(),
            tags: Cow::Borrowed(tags),
        }
    }

    fn ask(text: &str) -> Result<String, String> {
        let tags = [("team".to_owned(), "web".to_owned())].into();
        compile(text).expect("rules").ask(&question(&tags))
    }

    #[test]
    fn our_schema_is_valid_and_our_questions_conform_to_it() {
        let rules = compile("permit(principal, action, resource);").expect("rules");
        let tags = [("team".to_owned(), "web".to_owned())].into();
        for action in balm_catalogue::ACTIONS {
            let resource = if action.starts_with("asg:") { group(&tags) } else { question(&tags).resource };
            let question = Question { action, resource, ..question(&tags) };
            let (request, entities) = rules.build(&question).expect("a question");
            let (policy, target) =
                (uid("Policy", &question.policy), uid(question.resource.kind, &question.resource.arn));
            let context = question.context().expect("a context");
            assert!(Request::new(policy, uid("Action", action), target, context, Some(&PARSED)).is_ok(), "{request}");
            let ours = entities.iter().filter(|entity| entity.uid().type_name().to_string() != "Action").cloned();
            let checked = Entities::from_entities(ours, Some(&PARSED));
            assert!(checked.is_ok(), "{:?}", checked.err());
        }
    }

    #[test]
    fn without_rules_nothing_is_permitted() {
        assert_eq!(ask(""), Err("no rule permits it".into()));
        let tags = BTreeMap::new();
        assert_eq!(Rules::none().ask(&question(&tags)), Err("no rule permits it".into()));
    }

    #[test]
    fn rules_speak_of_policies_targets_groups_tags_and_context() {
        let permits = [
            r#"permit(principal == Policy::"web-cpu", action == Action::"ecs:scale-service", resource);"#,
            r#"permit(principal, action in Action::"scale", resource in Cluster::"arn:aws:ecs:eu-central-1:123456789012:cluster/prod");"#,
            r#"permit(principal, action, resource in Account::"123456789012");"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { resource.hasTag("team") && resource.getTag("team") == "web" };"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.to <= 4 && context.severity == "critical" };"#,
            r#"@id("mine") permit(principal, action, resource);"#,
        ];
        for text in permits {
            assert!(ask(text).is_ok(), "{text}: {:?}", ask(text));
        }
        assert_eq!(ask(permits[5]), Ok("web.cedar#mine".into()));
        let denies = [
            r#"permit(principal == Policy::"other", action, resource);"#,
            r#"permit(principal, action in Action::"disruptive", resource);"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.to < 4 };"#,
            r#"permit(principal, action, resource); forbid(principal, action, resource in Account::"123456789012");"#,
        ];
        for text in denies {
            assert!(ask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn leaving_out_rules_whose_head_does_not_fit_changes_no_answer() {
        let principals = [
            "principal",
            r#"principal == Policy::"web-cpu""#,
            r#"principal == Policy::"other""#,
            "principal is Policy",
        ];
        let actions = [
            "action",
            r#"action == Action::"ecs:scale-service""#,
            r#"action == Action::"ecs:stop-task""#,
            r#"action in Action::"scale""#,
            r#"action in [Action::"restart", Action::"asg:set-desired-capacity"]"#,
        ];
        let resources = [
            "resource",
            r#"resource == Service::"arn:aws:ecs:eu-central-1:123456789012:service/prod/web""#,
            r#"resource == Service::"arn:aws:ecs:eu-central-1:123456789012:service/prod/api""#,
            r#"resource in Cluster::"arn:aws:ecs:eu-central-1:123456789012:cluster/prod""#,
            r#"resource in Account::"999999999999""#,
            "resource is Group",
        ];
        let tags = [("team".to_owned(), "web".to_owned())].into();
        let questions = [
            question(&tags),
            Question { action: "ecs:stop-task", ..question(&tags) },
            Question { policy: "other".into(), ..question(&tags) },
            Question { action: "asg:set-desired-capacity", resource: group(&tags), ..question(&tags) },
        ];
        let mut fitting = 0;
        let heads = principals.iter().flat_map(|p| actions.map(|a| format!("{p}, {a}")));
        for head in heads.flat_map(|head| resources.map(|resource| format!("{head}, {resource}"))) {
            for effect in ["permit", "forbid"] {
                let text = format!("{effect}({head}); permit(principal, action, resource);");
                // What can never fit is a mistake of its own.
                let Ok(rules) = compile(&text) else { continue };
                for question in &questions {
                    let (request, entities) = rules.build(question).expect("a question");
                    let whole = rules.authorizer.is_authorized(&request, &rules.set, &entities);
                    let slice = rules.slices.of(&rules.set, &rules.actions, &request);
                    let sliced = rules.authorizer.is_authorized(&request, &slice, &entities);
                    assert_eq!(whole, sliced, "{text}\n{request}");
                    fitting += slice.num_of_policies() - 1;
                }
            }
        }
        assert!(fitting > 100, "{fitting} heads fit");
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_refuses_even_if_another_permits() {
        let text = r#"permit(principal, action, resource);
            forbid(principal, action == Action::"ecs:scale-service", resource) when { context.to + 9223372036854775807 > 0 };"#;
        assert!(ask(text).expect_err("refused").contains("could not be evaluated"));
    }

    #[test]
    fn ids_that_nothing_has_are_mistakes_wherever_they_stand() {
        for (rule, wanted) in [
            (r#"forbid(principal, action, resource == Service::"web");"#, "write the service's ARN"),
            (r#"forbid(principal, action, resource in Cluster::"prod");"#, "write the cluster's ARN"),
            (r#"forbid(principal == Policy::"Web CPU", action, resource);"#, "the name of a policy"),
            (r#"forbid(principal, action, resource) when { resource in Account::"prod" };"#, "twelve digits"),
            (
                r#"forbid(principal, action, resource) unless { [Cluster::"prod"].contains(Cluster::"prod") };"#,
                "write the cluster's ARN",
            ),
        ] {
            let text = format!("permit(principal, action, resource);\n{rule}");
            let mistakes = compile(&text).expect_err(rule);
            assert!(mistakes.iter().all(|it| it.line == 2 && it.message.contains(wanted)), "{rule}: {mistakes:?}");
        }
    }

    #[test]
    fn rules_that_never_apply_are_told_and_are_no_mistakes() {
        let never = r#"forbid(principal, action == Action::"ecs:scale-service", resource is Group);"#;
        let rules = compile(&format!("permit(principal, action, resource);\n{never}")).expect("rules");
        let lines: Vec<usize> = rules.warnings().iter().map(|warning| warning.line).collect();
        assert_eq!(lines, [2], "{:?}", rules.warnings());
        let five = "permit(principal, action, resource)\nwhen { context.approvals >= 5 };";
        let rules = compile(five).expect("rules");
        assert!(rules.warnings()[0].to_string().contains("web.cedar:2: context.approvals >= 5 is never so"));
        assert!(compile("permit(principal, action, resource);").expect("rules").warnings().is_empty());
    }

    #[test]
    fn the_policies_that_rules_name_are_known() {
        let text = r#"permit(principal == Policy::"web", action, resource);
            forbid(principal, action, resource) when { principal == Policy::"wbe" };"#;
        let rules = compile(text).expect("rules");
        let mut named: Vec<(&str, usize)> = rules.policies().iter().map(|it| (it.policy.as_str(), it.line)).collect();
        named.sort_unstable();
        assert_eq!(named, [("wbe", 2), ("web", 1)]);
    }

    #[test]
    fn every_mistake_of_every_file_is_told_with_its_line() {
        let files = [
            (
                "a.cedar".to_owned(),
                "permit(principal, action, resource);\npermit(principal action, resource);".to_owned(),
            ),
            (
                "b.cedar".to_owned(),
                "permit(\n  principal,\n  action == Action::\"ecs:scale-servic\",\n  resource);".to_owned(),
            ),
            (
                "c.cedar".to_owned(),
                "permit(principal, action == Action::\"ecs:scale-service\", resource)\nwhen { context.to < \"4\" };"
                    .to_owned(),
            ),
            ("d.cedar".to_owned(), "permit(principal == ?principal, action, resource);".to_owned()),
        ];
        let mistakes = Rules::compile(&files.into()).expect_err("mistakes");
        let places: Vec<(&str, usize)> = mistakes.iter().map(|mistake| (mistake.file.as_str(), mistake.line)).collect();
        for place in [("a.cedar", 2), ("b.cedar", 3), ("c.cedar", 2), ("d.cedar", 1)] {
            assert!(places.contains(&place), "{place:?} in {mistakes:?}");
        }
    }
}
