//! All metrics on one page: counters of records and requests, and gauges of how things stand.

use std::fs;

use super::Admin;
use crate::metrics::Text;

/// The media type of the text format.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Write everything.
pub(super) fn write(admin: &Admin) -> String {
    let mut text = Text::default();
    text.head("balm_build_info", "The version that runs.", "gauge");
    text.sample("balm_build_info", &[("version", admin.about.version)], 1);
    let help = "When the process started, in seconds since 1970.";
    text.gauge("balm_start_time_seconds", help, admin.about.started_at.as_millis() / 1000);
    write_numbers(admin, &mut text);
    write_view(admin, &mut text);
    write_requests(admin, &mut text);
    if let Some(metrics) = &admin.metrics {
        metrics.write(&mut text);
    }
    if let Some(bytes) = resident_bytes() {
        text.gauge("process_resident_memory_bytes", "Memory of the process.", bytes);
    }
    text.into_string()
}

fn write_numbers(admin: &Admin, text: &mut Text) {
    let (numbers, audit_seq) = (admin.status.numbers(), admin.audit.head().0);
    text.gauge("balm_journal_seq", "The journal's last record.", numbers.seq);
    text.gauge(
        "balm_verified_seq",
        "The last record up to which the journal was checked since the process started.",
        admin.verified.seq(),
    );
    let help = "1 if something in the journal cannot be read any more.";
    text.gauge("balm_journal_damaged", help, u8::from(admin.verified.damage().is_some()));
    let help = "1 if the audit database is damaged: it answers no more, and the next start builds it again.";
    text.gauge("balm_audit_damaged", help, u8::from(admin.audit.damage().is_some()));
    text.gauge("balm_audit_seq", "The audit database's last record.", audit_seq);
    text.gauge(
        "balm_audit_lag_records",
        "Records that the audit database is behind.",
        numbers.seq.saturating_sub(audit_seq),
    );
    let help = "How long groups of records took to be written and synced: the disk, as the journal finds it.";
    text.histogram("balm_journal_commit_seconds", help, &admin.status.commits);
    text.gauge("balm_journal_writable", "1 if there is room for records.", u8::from(admin.status.no_room().is_none()));
    text.gauge("balm_backlog", "Evaluations and looks that wait for their turn.", numbers.backlog);
    text.gauge("balm_episodes", "Episodes open or remembered.", numbers.episodes);
    text.gauge("balm_intents", "Intents that have not ended.", numbers.intents);
    text.gauge("balm_approvals_waiting", "Intents that wait for the approval of people.", numbers.approvals);
    let help = "By how much the clock was set ahead and nobody has accepted.";
    let (seconds, ms) = (numbers.clock_ahead_ms / 1000, numbers.clock_ahead_ms % 1000);
    text.gauge("balm_clock_ahead_seconds", help, format!("{seconds}.{ms:03}"));
}

fn write_view(admin: &Admin, text: &mut Text) {
    let view = admin.status.view();
    text.gauge("balm_stopped", "1 if everything is stopped.", u8::from(admin.kill_switch.is_engaged()));
    text.gauge("balm_stops", "Stops in force.", view.stops.len());
    text.gauge("balm_plugins", "Plugins in force.", view.plugins.len());
    text.head("balm_policies", "Policies, by how far they may go.", "gauge");
    for mode in ["off", "shadow", "suggest", "enforce"] {
        let count = view.policies.iter().filter(|policy| policy.mode.to_string() == mode).count();
        text.sample("balm_policies", &[("mode", mode)], count);
    }
    text.head("balm_account_usable", "1 if the host acts in the account, 0 if not.", "gauge");
    for account in &view.accounts {
        let labels = [("account", account.account.as_str()), ("region", account.region.as_str())];
        text.sample("balm_account_usable", &labels, u8::from(account.acting_as.is_some()));
    }
}

fn write_requests(admin: &Admin, text: &mut Text) {
    let help = "How long requests with alerts took that were accepted, until the alerts were durable.";
    text.histogram("balm_alert_request_seconds", help, &admin.alerts.accepted);
    text.head("balm_alert_requests_refused_total", "Requests with alerts that were refused.", "counter");
    for (reason, count) in admin.alerts.refused() {
        text.sample("balm_alert_requests_refused_total", &[("reason", reason)], count);
    }
    text.head("balm_admin_answers_total", "Answers of the admin API, by the first digit of their status.", "counter");
    for (status, count) in admin.doors.answers() {
        text.sample("balm_admin_answers_total", &[("status", status)], count);
    }
    text.head("balm_admin_unauthorized_total", "Requests to the admin API without a valid token.", "counter");
    text.sample("balm_admin_unauthorized_total", &[], admin.doors.strangers());
}

/// Memory that the process has, as Linux tells (proc(5), statm: the second number, in pages).
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
