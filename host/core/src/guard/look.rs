//! The host could read the target for itself.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    match proposed.reading {
        Ok(reading) => Finding::Passes(reading.to_string()),
        Err(why) => Finding::Fails(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::Bench,
        record::{CheckName, Verdict},
    };

    #[test]
    fn what_cannot_be_read_is_not_changed() {
        let mut bench = Bench::new();
        bench.unreadable();
        let judged = bench.judge();
        assert_eq!(judged.verdict, Verdict::Refused(CheckName::Look));
        let failed: Vec<CheckName> = judged.checks.iter().filter(|c| !c.passed).map(|c| c.check).collect();
        assert!(failed.starts_with(&[CheckName::Look, CheckName::Expectation]), "{failed:?}");
    }
}
