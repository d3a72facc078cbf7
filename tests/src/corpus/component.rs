//! A component in the text format that fits the contract and is good, but for what a hostile guest makes of it.
//!
//! A guest is one core module behind the contract's three functions, written out by hand, so that it can say at the
//! boundary what no toolchain would: every address, length and discriminant is its own. Whatever it leaves out is as an
//! honest plugin has it. It refuses to know what the guests are for.

/// What a guest is made of; instructions and definitions are in the text format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest<'a> {
    /// Body of `describe`: leaves the address of a manifest.
    pub(super) describe: &'a str,
    /// Body of `validate-settings` with `$settings` and `$length`: leaves the address of a `result`.
    pub(super) validate: &'a str,
    /// Body of `evaluate` with `$input`: leaves the address of a `result`.
    pub(super) evaluate: &'a str,
    /// Body of `cabi_realloc` with `$old`, `$old_size`, `$align` and `$size`: leaves an address.
    pub(super) realloc: &'a str,
    /// Body of what is called once the host has read what `evaluate` returned, with `$returned`.
    pub(super) post_return: Option<&'a str>,
    /// More definitions of the module: functions, tables, data.
    pub(super) items: &'a str,
    /// The limits of its memory, in pages.
    pub(super) memory: &'a str,
    /// How its strings are encoded.
    pub(super) encoding: &'a str,
    /// Definitions of the component before the module: imports, and core functions made of them.
    pub(super) imports: &'a str,
    /// What the module imports of them: `(import "balm" "x" (func $x …))`.
    pub(super) core_imports: &'a str,
    /// How they are handed over: `(export "x" (func $x))`.
    pub(super) core_exports: &'a str,
    /// Definitions at the component's end.
    pub(super) after: &'a str,
}

/// Where an honest guest keeps what it returns.
const MANIFEST: u32 = 1_024;
const NO_OBJECTION: u32 = 2_048;
pub(super) const DECISION: u32 = 3_072;

/// The addresses of its texts.
const VERSION: u32 = 64;
const SUMMARY: u32 = 80;
const ACTION: u32 = 128;
const ACTIONS: u32 = 160;
pub(super) const EMPTY_OBJECT: u32 = 176;
pub(super) const EXPLANATION: u32 = 192;

/// What an honest guest says.
pub(super) const SAYS: &str = "nothing to do";

/// The first address that nothing of the above uses.
pub(super) const FREE: u32 = 4_096;

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            describe: "i32.const 1024",
            validate: "i32.const 2048",
            evaluate: "i32.const 3072",
            // From the second page on, one after the other.
            realloc: "(local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                local.get $at",
            post_return: None,
            items: "",
            memory: "4",
            encoding: "utf8",
            imports: "",
            core_imports: "",
            core_exports: "",
            after: "",
        }
    }
}

impl Guest<'_> {
    /// The component.
    ///
    /// # Panics
    ///
    /// If its text is wrong.
    pub(super) fn build(self) -> Vec<u8> {
        assemble(&self.text())
    }

    fn text(self) -> String {
        let Guest { imports, core_imports, core_exports, after, encoding, memory, .. } = self;
        let post = self.post_return.map_or("", |_| r#"(post-return (func $main "post"))"#);
        let lift = format!(r#"(memory $libc "memory") (realloc (func $main "realloc")) string-encoding={encoding}"#);
        format!(
            r#"(component $C
            {TYPES}
            (core module $libc (memory (export "memory") {memory}))
            (core instance $libc (instantiate $libc))
            (core func $write (canon lower (func $log "write") (memory $libc "memory") string-encoding={encoding}))
            {imports}
            (core module $main
                (import "libc" "memory" (memory {memory}))
                (import "balm" "log" (func $log (param i32 i32 i32)))
                {core_imports}
                {module})
            (core instance $main (instantiate $main
                (with "libc" (instance $libc))
                (with "balm" (instance (export "log" (func $write)) {core_exports}))))
            (func $describe (result $manifest) (canon lift (core func $main "describe") {lift}))
            (func $validate (param "settings" string) (result (result (error string)))
                (canon lift (core func $main "validate") {lift}))
            (func $evaluate (param "input" $input) (result (result $outcome (error string)))
                (canon lift (core func $main "evaluate") {lift} {post}))
            (instance $plugin
                (export "describe" (func $describe))
                (export "validate-settings" (func $validate))
                (export "evaluate" (func $evaluate)))
            (export "balm:policy/plugin@0.1.0" (instance $plugin))
            {after})"#,
            module = self.module(),
        )
    }

    fn module(self) -> String {
        let Guest { describe, validate, evaluate, realloc, post_return, items, .. } = self;
        let post = post_return
            .map_or_else(String::new, |body| format!(r#"(func (export "post") (param $returned i32) {body})"#));
        format!(
            r#"(global $heap (mut i32) (i32.const 65536))
            (func $realloc (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
                (result i32) {realloc})
            (func $describe (export "describe") (result i32) {describe})
            (func $validate (export "validate") (param $settings i32) (param $length i32) (result i32) {validate})
            (func $evaluate (export "evaluate") (param $input i32) (result i32) {evaluate})
            {post}
            {data}
            {items}"#,
            data = honest_data(),
        )
    }
}

/// A text of a module or component as bytes.
///
/// # Panics
///
/// If the text is wrong: a guest that cannot be built is a test that proves nothing.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub(crate) fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("a guest cannot be assembled: {error}"))
}

/// A data segment.
pub(super) fn data(at: u32, bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("(data (i32.const {at}) \"");
    bytes.iter().for_each(|byte| write!(text, "\\{byte:02x}").expect("a string takes all"));
    text + "\")"
}

/// A data segment of numbers of 32 bits: what records, lists and variants of the contract are made of.
pub(super) fn words(at: u32, words: &[u32]) -> String {
    data(at, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
}

/// A decision as `evaluate` returns it: the discriminants of `result` and `outcome`, and the record's fields.
pub(super) fn decision(at: u32, intents: (u32, u32), explanation: (u32, u32)) -> String {
    words(at, &[0, 0, intents.0, intents.1, explanation.0, explanation.1, 0, 0, EMPTY_OBJECT, 2])
}

fn honest_data() -> String {
    let text = |at, text: &str| (data(at, text.as_bytes()), [at, u32::try_from(text.len()).expect("a short text")]);
    let (version, v) = text(VERSION, "0.1.0");
    let (summary, s) = text(SUMMARY, "Does what no policy should.");
    let (action, a) = text(ACTION, "ecs:scale-service");
    let (object, o) = text(EMPTY_OBJECT, "{}");
    let (says, e) = text(EXPLANATION, SAYS);
    // No name of its own; version, summary, one action, no query, a schema for everything.
    let manifest = [&[0, 0, 0][..], &v, &s, &[ACTIONS, 1], &[0, 0], &o].concat();
    [
        version,
        summary,
        action,
        object,
        says,
        words(ACTIONS, &a),
        words(MANIFEST, &manifest),
        words(NO_OBJECTION, &[0, 0, 0]),
        decision(DECISION, (0, 0), (e[0], e[1])),
    ]
    .join("\n")
}

/// The contract's types, and the one import (wit/0.1.0/policy.wit).
const TYPES: &str = r#"
    (type $TYPES (instance
        (type $s (enum "firing" "resolved"))
        (export "status" (type $status (eq $s)))
        (type $pairs (list (tuple string string)))
        (type $a (record
            (field "source" string) (field "org" string) (field "fingerprint" string) (field "status" $status)
            (field "name" string) (field "labels" $pairs) (field "annotations" $pairs)
            (field "values" (list (tuple string f64)))
            (field "starts-at" (option u64)) (field "ends-at" (option u64))))
        (export "alert" (type $alert (eq $a)))
        (type $p (record
            (field "action" string) (field "target" string) (field "at" u64) (field "state" string)
            (field "before" string) (field "after" string)))
        (export "past-intent" (type $past (eq $p)))
        (type $q (record (field "kind" string) (field "target" string) (field "parameters" string)))
        (export "query" (type $query (eq $q)))
        (type $w (record
            (field "query" $query) (field "reading" (result string (error string))) (field "at" u64)))
        (export "answer" (type $answer (eq $w)))
        (type $i (record
            (field "alert" $alert) (field "policy" string) (field "targets" (list string)) (field "settings" string)
            (field "answers" (list $answer)) (field "trigger" string) (field "history" (list $past))
            (field "now" u64) (field "seed" u64) (field "extra" string)))
        (export "input" (type (eq $i)))
        (type $n (record
            (field "action" string) (field "target" string) (field "parameters" string) (field "expects" string)
            (field "verify-within" (option u32)) (field "undo" bool) (field "reason" string)))
        (export "intent" (type $intent (eq $n)))
        (type $d (record
            (field "intents" (list $intent)) (field "explanation" string) (field "look-again-after" (option u32))
            (field "extra" string)))
        (export "decision" (type $decision (eq $d)))
        (type $o (variant (case "decided" $decision) (case "needs" (list $query))))
        (export "outcome" (type (eq $o)))
        (type $m (record
            (field "name" (option string)) (field "version" string) (field "summary" string)
            (field "actions" (list string)) (field "queries" (list string)) (field "settings-schema" string)))
        (export "manifest" (type (eq $m)))))
    (import "balm:policy/types@0.1.0" (instance $types (type $TYPES)))
    (alias export $types "input" (type $input))
    (alias export $types "outcome" (type $outcome))
    (alias export $types "manifest" (type $manifest))
    (import "balm:policy/log@0.1.0" (instance $log
        (type $l (enum "debug" "info" "warn"))
        (export "level" (type $level (eq $l)))
        (export "write" (func (param "level" $level) (param "message" string)))))
"#;
