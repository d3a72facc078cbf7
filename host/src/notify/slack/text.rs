//! Text in a message of Slack: what strangers wrote mentions nobody, formats nothing and links nowhere.
//!
//! Strangers' text stands only in `plain_text`, where Slack parses no markup; `&`, `<` and `>` are written as entities
//! everywhere, since Slack decodes those three in every text. A word joiner stands behind `@` and within `://`, so that no
//! client makes a mention or a link by itself. Where Slack may parse markup (the fallback for notifications), the markup's
//! characters are replaced by ones that look alike.

use crate::text::printable;

/// Not seen, and no part of any name or address.
const JOINER: char = '\u{2060}';

/// A text for `plain_text`, with at most so many UTF-16 units, entities counted as they are sent.
pub(super) fn plain(text: &str, most: usize) -> String {
    fit(&printable(text), most, |_| None)
}

/// A text where markup may be parsed.
pub(super) fn markup(text: &str, most: usize) -> String {
    fit(&printable(text), most, |c| match c {
        '*' => Some('∗'),
        '_' => Some('＿'),
        '~' => Some('∼'),
        '`' => Some('ˋ'),
        _ => None,
    })
}

fn fit(text: &str, most: usize, replaced: impl Fn(char) -> Option<char>) -> String {
    let (mut fitted, mut units) = (String::new(), 0);
    let mut rest = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let mut piece = String::new();
        match c {
            '&' => piece.push_str("&amp;"),
            '<' => piece.push_str("&lt;"),
            '>' => piece.push_str("&gt;"),
            '@' => piece.extend(['@', JOINER]),
            '/' if before == ':' => piece.extend([JOINER, '/']),
            c => piece.push(replaced(c).unwrap_or(c)),
        }
        let piece_units = piece.encode_utf16().count();
        // Room for the ellipsis, unless nothing follows.
        let reserve = usize::from(rest.peek().is_some());
        if units + piece_units + reserve > most {
            fitted.push('…');
            return fitted;
        }
        fitted.push_str(&piece);
        units += piece_units;
        before = c;
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of labels and values as somebody would write them who wants attention.
    const HOSTILE: &[&str] = &[
        "<!here>",
        "<!channel|x>",
        "<@U012AB3CD>",
        "<!subteam^S012>",
        "<https://evil.example.com|Grafana>",
        "@here and @channel",
        "*bold* _it_ ~no~ `code` ```block```",
        "a & b &lt;!here&gt;",
        "https://evil.example.com/x",
        "x\n> quoted\r\n\u{202e}evil\u{1b}[2J",
    ];

    #[test]
    fn no_text_mentions_formats_or_links() {
        for text in HOSTILE {
            for shown in [plain(text, 3_000), markup(text, 3_000)] {
                assert!(!shown.contains(['<', '>', '\n', '\r', '\u{1b}', '\u{202e}']), "{shown}");
                assert!(!shown.contains("@h") && !shown.contains("@c") && !shown.contains("://"), "{shown}");
                let decoded = shown.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
                assert!(!decoded.contains('&'), "{shown}");
            }
            assert!(!markup(text, 3_000).contains(['*', '_', '~', '`']), "{text}");
        }
    }

    #[test]
    fn a_text_that_was_escaped_before_shows_as_it_was_written() {
        assert_eq!(plain("&lt;!here&gt;", 100), "&amp;lt;!here&amp;gt;");
    }

    #[test]
    fn texts_are_cut_at_their_limit_and_never_within_an_entity() {
        assert_eq!(plain("abcdef", 6), "abcdef");
        assert_eq!(plain("abcdefg", 6), "abcde…");
        assert_eq!(plain("ab<", 6), "ab&lt;");
        assert_eq!(plain("ab<<", 6), "ab…");
        assert_eq!(plain("a🚨🚨", 5), "a🚨🚨");
        assert_eq!(plain("a🚨🚨🚨", 5), "a🚨…", "Slack counts UTF-16 units as browsers do; half a character is none");
        for most in 1..60 {
            assert!(plain(&HOSTILE.join(" "), most).encode_utf16().count() <= most);
        }
    }
}
