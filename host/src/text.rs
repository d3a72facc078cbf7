//! Texts of strangers, made harmless for whoever shows them: no control character moves a cursor, no bidirectional or
//! invisible character turns a sentence around.

/// The text on one line, with everything that does not show as itself written out.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => printable.push(' '),
            c if c.is_control() || is_invisible(c) => printable.extend(c.escape_unicode()),
            c => printable.push(c),
        }
    }
    printable
}

/// Format characters that are not seen and change what is: Unicode's bidirectional controls, zero-width characters, line
/// and paragraph separators, tags, and the byte order mark.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_as_itself_is_written_out() {
        assert_eq!(printable("a\r\nb\tc"), "a  b c");
        assert_eq!(printable("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(printable("pay \u{202e}evil"), "pay \\u{202e}evil");
        assert_eq!(printable("he\u{200b}re \u{feff}\u{e0041}"), "he\\u{200b}re \\u{feff}\\u{e0041}");
        assert_eq!(printable("größer → 90 % 🚨"), "größer → 90 % 🚨");
    }
}
