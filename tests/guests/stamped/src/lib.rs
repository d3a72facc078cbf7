//! A guest of the tests: says which of its versions decides, and with which settings.
//!
//! Tests make a version by writing another stamp over the one in the component, which takes no compiler. A version accepts
//! only settings with its own number, or with `any`, so a mixed pair of both is refused where it is looked at, and seen in
//! the explanation where it is not. It is written on the contract alone, since tests load it a thousand times.

#[cfg(target_family = "wasm")]
mod guest {
    #[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the documented contract")]
    mod bindings {
        wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "policy" });
        use super::Stamped;
        export!(Stamped);
    }

    use bindings::{
        balm::policy::types::Decision,
        exports::balm::policy::plugin::{Guest, Input, Manifest, Outcome},
    };

    /// Kind and number, to be overwritten in the component's bytes: `good`, `trap` for one that fails when it is asked what it
    /// is, or `fall` for one that fails when it is to decide.
    static STAMP: [u8; 32] = *b"balm-stamp:good:0000000000000000";

    /// Where the kind begins, and where the number does.
    const KIND: usize = 11;
    const NUMBER: usize = 16;

    struct Stamped;

    impl Guest for Stamped {
        fn describe() -> Manifest {
            assert!(text(KIND..NUMBER - 1) != "trap", "this version cannot say what it is");
            Manifest {
                name: None,
                version: number().into(),
                summary: "Says which version decides.".into(),
                actions: Vec::new(),
                queries: Vec::new(),
                settings_schema: "{}".into(),
            }
        }

        fn validate_settings(settings: String) -> Result<(), String> {
            match of_settings(&settings) {
                stamp if stamp == "any" || stamp == number() => Ok(()),
                stamp => Err(format!("they are for version {stamp}, and this is {}", number())),
            }
        }

        fn evaluate(input: Input) -> Result<Outcome, String> {
            assert!(text(KIND..NUMBER - 1) != "fall", "this version cannot decide");
            Ok(Outcome::Decided(Decision {
                intents: Vec::new(),
                explanation: format!("version {} with settings {}", number(), of_settings(&input.settings)),
                look_again_after: None,
                extra: "{}".into(),
            }))
        }
    }

    fn number() -> &'static str {
        text(NUMBER..STAMP.len())
    }

    /// Read at run time: what the compiler saw there is not what is there now.
    fn text(part: core::ops::Range<usize>) -> &'static str {
        core::str::from_utf8(&core::hint::black_box(&STAMP)[part]).unwrap_or_default()
    }

    /// The one text in `{"stamp":"…"}`.
    fn of_settings(settings: &str) -> &str {
        settings.split('"').nth(3).unwrap_or_default()
    }
}
