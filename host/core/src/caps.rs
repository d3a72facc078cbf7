//! Every bound of the core, with its unit in the name and the reason beside it.
//!
//! What an operator may set stands in the configuration; what stands here is fixed, so that memory and work have a
//! ceiling that no configuration, alert or plugin can raise.

/// Episodes kept in memory, open ones and those remembered after their end. At the cap an alert that would open one
/// is answered "overloaded" and the sender tries again: nothing acknowledged is dropped. An episode with one policy
/// takes about 0.6 kB, so a full house is about 2.5 GB; an idle host holds none.
pub const EPISODES: usize = 4_000_000;

/// Policies that one alert may concern. An alert that matches more concerns the first ones by name; the record says
/// how many were left out.
pub const CONCERNS_PER_EPISODE: usize = 16;

/// Targets that a policy may name, so that an input stays small.
pub const TARGETS_PER_POLICY: usize = 64;

/// Intents of one decision. More is a malformed decision, recorded as the plugin's failure.
pub const INTENTS_PER_DECISION: usize = 8;

/// Intents of an episode that a policy is shown. Older ones are forgotten once they have ended.
pub const HISTORY_PER_CONCERN: usize = 16;

/// Bytes of a decision's explanation and of an intent's reason. Longer is a malformed decision.
pub const TEXT_BYTES: usize = 4 * 1024;

/// Bytes of one JSON text from a plugin: parameters, expectations, query parameters, `extra`.
pub const JSON_BYTES: usize = 64 * 1024;

/// Rounds of one evaluation: the first question, and three that follow from answers.
pub const ROUNDS: u32 = 4;

/// Queries of one evaluation over all rounds; each may cost a call to AWS.
pub const QUERIES: usize = 16;

/// Times that a failed evaluation is tried again before a person is told.
pub const EVALUATION_RETRIES: u8 = 3;

/// Seconds before a failed evaluation is tried again; doubled each time.
pub const EVALUATION_RETRY_S: u64 = 15;

/// The least that a plugin may ask to be looked at again, in seconds, so that no plugin makes a busy loop.
pub const LOOK_AGAIN_LEAST_S: u64 = 1;

/// The most, in seconds: an episode lives a day without a sign of life, so later would be never.
pub const LOOK_AGAIN_MOST_S: u64 = 24 * 3600;

/// Attempts of one intent, over throttles, unanswered calls that were seen not to have happened, and failures to
/// connect. Four, at doubling pauses, span half a minute; what AWS refuses for longer is for a person.
pub const ATTEMPTS: u32 = 4;

/// Seconds before the second attempt; doubled each time.
pub const ATTEMPT_RETRY_S: u64 = 2;

/// Times that a target is read again for the guard before the intent is refused as unreadable.
pub const LOOKS: u32 = 4;

/// Seconds before a failed look is tried again; doubled each time.
pub const LOOK_RETRY_S: u64 = 1;

/// The age of a reading, in seconds, up to which it is the host's own fresh look.
pub const LOOK_FRESH_S: u64 = 10;

/// Seconds for which an unanswered call is looked for before it is handed to a person.
pub const UNKNOWN_FOR_S: u64 = 15 * 60;

/// The longest time that a plugin may ask for verification, in seconds.
pub const VERIFY_WITHIN_MOST_S: u64 = 4 * 3600;

/// Milliseconds between two looks of a verification: it starts with the first and doubles up to the second.
pub const VERIFY_POLL_FIRST_MS: u64 = 500;
/// See [`VERIFY_POLL_FIRST_MS`].
pub const VERIFY_POLL_MOST_MS: u64 = 15_000;

/// Seconds after an episode has ended in which the same alert re-opens it.
pub const REOPEN_WITHIN_S: u64 = 30 * 60;

/// Seconds without a sign of life after which an episode expires, and for which an ended one is remembered, so that a
/// replayed old alert is recognised.
pub const EPISODE_TTL_S: u64 = 24 * 3600;

/// Timers that one `time-passed` record moves, so that a batch stays small.
pub const TIMERS_PER_BATCH: usize = 1_000;

/// Answers of the rules that are remembered. Beyond them all are forgotten and asked for again: a few hundred targets
/// alerting at once have one each, and a question is at most some kilobytes of tags.
pub const ANSWERS_REMEMBERED: usize = 512;

/// Rules that are kept in slices by what they can concern, counted in each slice. Beyond them all slices are made anew.
pub const RULES_IN_SLICES: usize = 20_000;

/// The most people that a rule may ask for: what asks for more is never permitted.
pub const APPROVALS_MOST_PEOPLE: u32 = 3;

/// The longest pattern: no ARN is longer.
pub const PATTERN_BYTES: usize = 2_048;

/// Targets whose last change of capacity is remembered. At the cap the one that was changed longest ago is forgotten: far
/// more than a host acts on within the longest time that conflicts are looked for in.
pub const TARGETS_SWUNG: usize = 20_000;

/// Rows of bad ends that breakers count: policies, and targets on which something ended badly.
pub const STREAKS: usize = 20_000;

/// Admissions remembered for limits. At the cap the oldest within every window would have to be forgotten, so further
/// intents are refused instead.
pub const ADMISSIONS: usize = 100_000;

/// Admissions of one episode, remembered while it is. At the cap its further intents are refused: an episode that was acted
/// on a thousand times needs a person.
pub const ADMISSIONS_PER_EPISODE: usize = 1_000;

/// Turns of a target's capacity that are remembered, newest: more than any operator allows.
pub const REVERSALS: usize = 100;

/// Targets of which is remembered when they alerted last, for the storm brake. At the cap further ones are not counted:
/// whoever lets so many alert has reached every threshold.
pub const TARGETS_ALERTING: usize = 20_000;

/// The longest window of the storm brake, in seconds: what alerted yesterday does not alert at once.
pub const STORM_WINDOW_MOST_S: u64 = 24 * 3600;

/// For how long a person's word to release a stop waits for the others', in seconds: yesterday's is no yes to today.
pub const RELEASE_WAITS_S: u64 = 3600;

/// The longest window of a limit, in seconds: a week.
pub const LIMIT_WINDOW_MOST_S: u64 = 7 * 24 * 3600;

/// Approvals asked for at once. Nobody reads more; at the cap what needs another one is not done.
pub const APPROVALS: usize = 1_000;

/// Ended requests for approvals of which it is known how they ended: for whoever says yes too late.
pub const APPROVALS_REMEMBERED: usize = 1_000;

/// The longest time that a request for approvals may wait, in seconds: an episode lives a day without a sign of life.
pub const APPROVAL_EXPIRES_MOST_S: u64 = 24 * 3600;

/// Characters of what somebody typed for a plan's hash, which has 64, that stand in a record.
pub const APPROVAL_PLAN_CHARS: usize = 80;

/// Stops in force at once. At the cap a further one is refused: the widest stop needs only one place.
pub const STOPS: usize = 1_000;

/// Notices waiting for a slow notifier. At the cap the oldest that needs no person is dropped for that notifier and
/// counted; if all need one, the oldest.
pub const NOTICES: usize = 10_000;

/// Notices of other episodes behind the next one that make all that wait a digest: up to three messages in a row are
/// read one by one, more are not.
pub const NOTICES_FEW: usize = 3;

/// Notices of one episode that are told as its steps in one message; an episode with more is flapping.
pub const NOTICES_STEPS: usize = 10;

/// Notices that a digest names because they need a person. The rest of those is counted: a list that is longer is
/// worked off from the audit, and a message of Slack holds about so many lines well.
pub const NOTICES_NAMED_FOR_A_PERSON: usize = 40;

/// Other notices that a digest names: what the storm began with tells most about its cause.
pub const NOTICES_NAMED_FIRST: usize = 5;

/// Milliseconds between two messages of a notifier at first: Slack allows one a second.
pub const NOTICES_PAUSE_FIRST_MS: u64 = 1_000;

/// The most, to which it doubles while messages follow each other: a call for a person waits a minute at most.
pub const NOTICES_PAUSE_MOST_MS: u64 = 60_000;

/// Bytes of a text in a notice; the rest is cut and marked with an ellipsis. The whole stands in the audit.
pub const NOTICE_TEXT_BYTES: usize = 1_024;

/// Intents remembered by the state, open and shown in histories.
pub const INTENTS: usize = 8_000_000;

/// Evaluations under way at once, beside one of each policy that has none: it does not wait for those that fill all places. So
/// many that guests have something to do while the journal is made durable, and that this happens once for many.
pub const EVALUATIONS_IN_FLIGHT: usize = 128;

/// Looks under way at once: a bound on concurrent reads of AWS.
pub const LOOKS_IN_FLIGHT: usize = 32;

/// Looks of one step that are answered by what was read a moment ago, so that a step stays short.
pub const LOOKS_AT_ONCE: usize = 1_024;

/// Records whose hashes are kept while a journal is checked, for the checkpoint that will name one of them: hours of a host
/// that records a thousand a second, at 32 bytes each.
pub const HASHES: usize = 4_000_000;

/// Instances of a group that is read and changed. An instance takes some 120 bytes of a look's record, and one intent makes
/// tens of looks; a larger group is refused as unreadable.
pub const INSTANCES: u32 = 1_000;

/// A jump of the clock ahead of the machine's own monotonic time, in seconds, that is recorded and frees no window.
pub const CLOCK_JUMP_S: u64 = 60;

/// Alerts of one request. A request with more is refused as too large; Grafana at 32 MiB carries about 15,000.
pub const ALERTS_PER_REQUEST: usize = 50_000;

/// Bytes of one label or annotation value and of an alert's other texts; the rest is cut and marked with an ellipsis.
pub const ALERT_TEXT_BYTES: usize = 8 * 1024;

/// Labels, annotations and values of an alert, each. The rest is dropped in the order of names.
pub const ALERT_PAIRS: usize = 128;

/// Plugins in force at once. Each version in memory costs some MB of code and a moment of every look at the directory; a
/// file of a further one is refused.
pub const PLUGINS: usize = 256;

/// Versions that are known under the name of a plugin: the one in force, and what somebody may want to go back to. At the cap the
/// oldest is forgotten; its bytes are kept as long as records name them.
pub const VERSIONS_PER_PLUGIN: usize = 8;

/// Names of plugins whose versions are known, in force or not: twice as many as can be in force. At the cap the first that is
/// not in force is forgotten.
pub const PLUGINS_KNOWN: usize = 2 * PLUGINS;

/// Evaluations that a candidate is still to be compared with. At the cap further ones are not compared, and counted.
pub const COMPARISONS_WAITING: usize = 1_000;

/// Comparisons under way at once: few, so that candidates take little from the versions that decide.
pub const COMPARISONS_IN_FLIGHT: usize = 2;

/// Comparisons that differ of which it is known where they are recorded: examples for people.
pub const COMPARISON_EXAMPLES: usize = 16;

/// The most failures in a row that a version may be allowed before it is stopped.
pub const QUARANTINE_AFTER_MOST: u32 = 1_000;

/// Mistakes that one record of a refused configuration holds, so that a batch stays small; further ones are counted.
pub const MISTAKES: usize = 64;
