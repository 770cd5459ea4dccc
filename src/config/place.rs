//! Where a value was written, and what is wrong with it: mistakes that a person can go to.

use std::{fmt, sync::Arc};

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line and column of a file, both from 1.
    File {
        /// The file, as it was named.
        file: Arc<str>,
        /// The line.
        line: u32,
        /// The column.
        column: u32,
    },
    /// An environment variable.
    Variable(String),
    /// An option of the command line.
    Flag(String),
    /// Nobody wrote it: a default, or a thing that is missing.
    #[default]
    Nowhere,
}

/// One thing that is wrong, or that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where it was written.
    pub place: Place,
    /// The key: `gpus[0].capacity`. Empty: the file as a whole.
    pub key: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Everything that is wrong with a configuration, in the order it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "from environment variable {name}"),
            Self::Flag(name) => write!(f, "from option {name}"),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

// === impl Mistake ===

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.problem)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.problem)
        }
    }
}

// === impl Mistakes ===

impl Mistakes {
    /// Takes mistakes, puts them in order and drops repetitions.
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        mistakes.dedup();
        Self(mistakes)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|k| {
            let plain = k.to_ascii_lowercase().replace('-', "_");
            (strsim::jaro_winkler(&word, &plain), k)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// `; did you mean `x`?`, or nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |k| format!("; did you mean `{k}`?"))
}

/// Words as people list them: `a`, `b` or `c`.
pub(super) fn listed(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|w| format!("`{w}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

/// What may stand instead of `word`: the nearest of many words, or all of few.
pub(super) fn choice(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(nearest) if known.len() > 8 => {
            format!(
                "one of {} words (`finweir schema` lists them); did you mean `{nearest}`?",
                known.len()
            )
        }
        Some(nearest) => format!("{}; did you mean `{nearest}`?", listed(known)),
        None => listed(known),
    }
}
