//! What a configuration permits now, in one line: for whoever starts a host and wants to know whether it can act.
//!
//! It counts what must be there for anything to be admitted; whether one intent is, only the guard says.

use std::fmt;

use balm_core::{configuration::Mode, guard::Rules, name::PolicyName};

use crate::config::Config;

/// What stands between a proposal and an action.
#[derive(Debug)]
pub(crate) struct Permitted {
    /// Rules of the guardrails.
    pub(crate) rules: usize,
    limits: usize,
    bounds: usize,
    accounts: usize,
    policies: usize,
    /// Policies whose intents may go beyond being recorded.
    acting: Vec<PolicyName>,
}

impl Permitted {
    pub(crate) fn by(config: &Config) -> Self {
        let core = &config.core;
        let acts = |mode| matches!(mode, Mode::Enforce | Mode::Suggest);
        Self {
            rules: Rules::compile(&core.guardrails.rules).map_or(0, |rules| rules.count()),
            limits: core.guardrails.limits.len(),
            bounds: core.guardrails.bounds.len(),
            accounts: config.accounts.len(),
            policies: core.policies.len(),
            acting: core.policies.iter().filter(|(_, p)| acts(p.mode)).map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether anything can be admitted at all: each kind of guardrail denies by default.
    pub(crate) fn can_act(&self) -> bool {
        self.rules > 0 && self.limits > 0 && self.bounds > 0 && self.accounts > 0 && !self.acting.is_empty()
    }
}

/// `1 rule, 1 limit, 0 bounds, 1 account, 1 of 2 policies beyond shadow (web-cpu): nothing can act`
impl fmt::Display for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted =
            [(self.rules, "rule"), (self.limits, "limit"), (self.bounds, "bound"), (self.accounts, "account")];
        for (count, what) in counted {
            write!(f, "{count} {what}{}, ", if count == 1 { "" } else { "s" })?;
        }
        let names: Vec<&str> = self.acting.iter().map(PolicyName::as_str).collect();
        write!(f, "{} of {} policies beyond shadow", names.len(), self.policies)?;
        if !names.is_empty() {
            write!(f, " ({})", names.join(", "))?;
        }
        f.write_str(if self.can_act() { ": can act within them" } else { ": nothing can act" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_one_kind_of_guardrail_nothing_can_act() {
        let all = || Permitted {
            rules: 1,
            limits: 2,
            bounds: 1,
            accounts: 1,
            policies: 2,
            acting: vec!["web-cpu".parse().expect("a name")],
        };
        let told = "1 rule, 2 limits, 1 bound, 1 account, 1 of 2 policies beyond shadow (web-cpu): can act within them";
        assert_eq!(all().to_string(), told);
        let missing = [
            Permitted { rules: 0, ..all() },
            Permitted { limits: 0, ..all() },
            Permitted { bounds: 0, ..all() },
            Permitted { accounts: 0, ..all() },
            Permitted { acting: vec![], ..all() },
        ];
        for permitted in missing {
            assert!(permitted.to_string().ends_with(": nothing can act"), "{permitted}");
        }
    }
}
