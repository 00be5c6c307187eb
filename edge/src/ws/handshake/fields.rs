//! The header fields of one request, and how fields that occur several times are read. Must not know what they are for.

use super::Refusal;

/// A view of parsed header fields.
pub(super) struct Fields<'a> {
    all: &'a [httparse::Header<'a>],
}

impl<'a> Fields<'a> {
    pub(super) fn new(all: &'a [httparse::Header<'a>]) -> Self {
        Self { all }
    }

    /// The values of every field of this name, in their order.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The text of a field that may occur once: who reads the first and who reads the last must not disagree.
    pub(super) fn single(&self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refusal::bad("a header field that may occur once occurs twice"));
        }
        let text = std::str::from_utf8(value).map_err(|_| Refusal::bad("a header field is not text"))?;
        Ok(Some(text.trim_matches([' ', '\t'])))
    }

    /// All values of a list-like field as one, as if it had been sent once; bytes that are no text are replaced.
    pub(super) fn joined(&self, name: &str, separator: &str) -> Option<String> {
        let mut values = self.values(name).map(String::from_utf8_lossy);
        let first = values.next()?.into_owned();
        Some(values.fold(first, |joined, value| joined + separator + &value))
    }

    /// The elements of a comma-separated field, which may be spread over several; an element that is no text reads as empty.
    pub(super) fn elements(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(|element| std::str::from_utf8(element).unwrap_or_default().trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether a comma-separated field names this, in any case of letters.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// Whether a body follows the head. Refuses whatever two servers could understand differently.
    pub(super) fn has_body(&self, minor_version: u8) -> Result<bool, Refusal> {
        let coded = self.values("transfer-encoding").next().is_some();
        let length = self.single("content-length")?;
        match length {
            Some(_) if coded => Err(Refusal::bad("both Transfer-Encoding and Content-Length")),
            Some(digits) => {
                let length = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
                let length = length.and_then(|digits| digits.parse::<u64>().ok());
                length.map(|length| length > 0).ok_or(Refusal::bad("Content-Length is not a number"))
            }
            None if coded && minor_version == 0 => Err(Refusal::bad("Transfer-Encoding in HTTP/1.0")),
            None => Ok(coded),
        }
    }
}
