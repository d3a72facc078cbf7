//! A damaged file is told, with its place, or nothing is answered otherwise; and native code without its seal is never run.

use balm_tests::rot::{Kind, Options, run};

#[test]
fn no_damage_to_a_file_is_silent() {
    let report = run(Options { corruptions: 60, cache: 60, seed: 0x0dd_b175 });
    println!("{report:#?}");
    assert_eq!(report.whole().silent, 0, "{report:#?}");
    assert_eq!((report.cache.corruptions, report.cache.told), (60, 60), "{report:#?}");
    assert!(report.kinds.len() == Kind::ALL.len() && report.whole().told > 20, "too little is told: {report:#?}");
}
