//! Text from other people, made harmless for a terminal or a log. It changes only how text is shown, never what is sent.

use std::fmt::{self, Write as _};

/// Shows text with every character escaped that could move a cursor, change colours, start a line of its own or turn the
/// direction of reading.
///
/// ```
/// use switchyard_client::Printable;
/// assert_eq!(Printable("a\u{1b}[31mred").to_string(), "a\\u{1b}[31mred");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(
    /// The text as it came.
    pub &'a str,
);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                harmless if is_harmless(harmless) => f.write_char(harmless)?,
                other => write!(f, "{}", other.escape_unicode())?,
            }
        }
        Ok(())
    }
}

/// Not a control character, a line or paragraph separator, a mark, embedding, override or isolate of direction, or
/// something that cannot be seen.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' |
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_change_a_terminal_is_escaped() {
        let dangerous = "\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}evil\u{2066}\u{200f}\u{7f}\u{feff}";
        let shown = Printable(dangerous).to_string();
        assert_eq!(shown, "\\u{1b}]0;title\\u{7}\\r\\n\\u{9b}31m\\u{202e}evil\\u{2066}\\u{200f}\\u{7f}\\u{feff}");
    }

    #[test]
    fn people_can_write_in_their_language() {
        for text in ["grüß dich", "你好", "שלום", "مرحبا", "👩‍👩‍👧", "a < b && <script>", "नमस्ते"]
        {
            assert_eq!(Printable(text).to_string(), text);
        }
    }
}
