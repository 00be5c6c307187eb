//! What is wrong with a configuration: a line `KEY: problem` for each, all of them at once. A value never stands in a
//! problem when it may be a secret.

use std::fmt;

/// One thing to mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The key, such as `server.listen`, or the option, variable or file it came from.
    pub key: String,
    /// What is wrong with it and, where it can be said, what to do next.
    pub text: String,
}

impl Problem {
    /// A problem of this key.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    /// Always a single line, whatever a parser put into the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        for (i, line) in self.text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            write!(f, "{}{line}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Everything that was found; never empty when it is an error.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem::new(key, text));
    }

    /// `Ok` with the value if nothing was found.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_even_when_a_parser_wrote_three() {
        let problem = Problem::new("server.listen", "bad\n  | here\n\nand there");
        assert_eq!(problem.to_string(), "server.listen: bad; | here; and there");
    }
}
