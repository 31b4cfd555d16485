//! The tables of `tests/doctor`: what an emulator's messages mean, and in what it is known to disagree with the manual.

use std::collections::BTreeSet;
use std::fs;

/// Where the tables are. The tests run in the project's top folder.
const FOLDER: &str = "tests/doctor";
const KNOWN: &str = "known.txt";

/// What is known of one emulator: the lines of `known.txt` that are about it, and the messages of Bochs.
pub struct Known {
    /// A message with `*` in place of what changes, and the rules that it may stand for.
    messages: Vec<(String, Vec<String>)>,
    entries: Vec<Entry>,
}

struct Entry {
    /// The whole line.
    line: String,
    /// Model names with `*`, like `bochs/*`.
    model: String,
    what: What,
}

/// What an emulator does.
#[derive(PartialEq, Eq, Debug)]
enum What {
    /// It does not check the rule, or not all of it.
    Unchecked(String),
    /// It refuses what the rules allow: with a message of Bochs, or an answer of the CPU. `with`: how a word of the list
    /// of changed fields starts.
    Stricter { says: String, with: Option<String> },
    /// Its message may mean a rule that its words do not name.
    Message { says: String, rule: String },
    /// It does not survive the state.
    Spare(String),
}

/// Lines of the list that a run needed, by number.
pub type Used = BTreeSet<usize>;

impl Known {
    /// Reads all tables; leaves the lines about `model`, or all of them.
    pub fn read(model: Option<&str>) -> Result<Self, String> {
        let (mut messages, mut list) = (String::new(), String::new());
        let folder = fs::read_dir(FOLDER).map_err(|e| format!("{FOLDER}: {e}"))?;
        let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            if file.ends_with(KNOWN) { &mut list } else { &mut messages }.push_str(&text);
        }
        Self::parse(&messages, &list, model)
    }

    /// The same from the files' text.
    pub fn parse(messages: &str, list: &str, model: Option<&str>) -> Result<Self, String> {
        let said = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let messages = messages.lines().filter(said).map(|line| {
            let (text, rules) = line.split_once(" => ").ok_or(format!("a message without ` => `: {line}"))?;
            Ok((text.to_string(), rules.split(", ").map(String::from).collect()))
        });
        let entries = list.lines().filter(said).map(Entry::parse);
        let mut known = Self {
            messages: messages.collect::<Result<_, String>>()?,
            entries: entries.collect::<Result<_, String>>()?,
        };
        known.entries.retain(|entry| model.is_none_or(|model| matches(&entry.model, model)));
        Ok(known)
    }

    /// The rules that a message stands for, by the line with the most text of its own; `None`: not in the tables.
    pub fn rules_of(&self, message: &str) -> Option<&[String]> {
        let fitting = self.messages.iter().filter(|(text, _)| matches(text, message));
        let (_, rules) = fitting.max_by_key(|(text, _)| text.bytes().filter(|byte| *byte != b'*').count())?;
        Some(rules)
    }

    /// Whether the emulator is known not to check the rule.
    pub fn is_unchecked(&self, rule: &str, used: &mut Used) -> bool {
        self.is_listed(used, |what| matches!(what, What::Unchecked(id) if id == rule))
    }

    /// Whether it is known to refuse more than it should, with these words, when these fields are changed.
    pub fn is_stricter(&self, words: &str, changes: Option<&str>, used: &mut Used) -> bool {
        self.is_listed(used, |what| match what {
            What::Stricter { says, with } => {
                matches(says, words)
                    && with
                        .as_ref()
                        .is_none_or(|with| changes.is_some_and(|text| format!(" {text}").contains(&format!(" {with}"))))
            }
            _ => false,
        })
    }

    /// Whether its message is known to be one about `rule`.
    pub fn may_mean(&self, message: &str, rule: &str, used: &mut Used) -> bool {
        self.is_listed(
            used,
            |what| matches!(what, What::Message { says, rule: id } if id == rule && matches(says, message)),
        )
    }

    fn is_listed(&self, used: &mut Used, is: impl Fn(&What) -> bool) -> bool {
        let found = self.entries.iter().position(|entry| is(&entry.what));
        used.extend(found);
        found.is_some()
    }

    /// More words for the kernel's command line: `spare=` with the states that the emulator does not survive, `lax=` with the
    /// rules that it does not check; each with a blank before it.
    pub fn options(&self) -> String {
        let (mut spare, mut lax) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            match &entry.what {
                What::Spare(state) => spare.push(state.as_str()),
                What::Unchecked(rule) => lax.push(rule.as_str()),
                What::Stricter { .. } | What::Message { .. } => {}
            }
        }
        let option = |name, words: Vec<&str>| match words.join(",") {
            list if list.is_empty() => list,
            list => format!(" {name}={list}"),
        };
        option("spare", spare) + &option("lax", lax)
    }

    /// The lines that a run has not needed.
    pub fn unused(&self, used: &Used) -> impl Iterator<Item = &str> {
        let needed = |n: usize, what: &What| used.contains(&n) || matches!(what, What::Spare(_));
        let rest = self.entries.iter().enumerate().filter(move |(n, entry)| !needed(*n, &entry.what));
        rest.map(|(_, entry)| entry.line.as_str())
    }

    /// Every rule that the tables name.
    pub fn rules(&self) -> BTreeSet<&str> {
        let named = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Unchecked(rule) | What::Message { rule, .. } => Some(rule),
            _ => None,
        });
        named.chain(self.messages.iter().flat_map(|(_, rules)| rules)).map(String::as_str).collect()
    }
}

impl Entry {
    fn parse(line: &str) -> Result<Self, String> {
        let wrong = || format!("{KNOWN}: not `model | what | reason`: {line}");
        let parts: Vec<_> = line.split(" | ").collect();
        let [model, what, reason] = parts[..] else { return Err(wrong()) };
        if reason.is_empty() {
            return Err(wrong());
        }
        let (word, rest) = what.split_once(' ').ok_or_else(wrong)?;
        let text = String::from;
        let what = match word {
            "unchecked" => What::Unchecked(text(rest)),
            "spare" => What::Spare(text(rest)),
            "stricter" => match rest.split_once(" with ") {
                Some((says, with)) => What::Stricter { says: text(says), with: Some(text(with)) },
                None => What::Stricter { says: text(rest), with: None },
            },
            "message" => {
                let (says, rule) = rest.split_once(" may mean ").ok_or_else(wrong)?;
                What::Message { says: text(says), rule: text(rule) }
            }
            _ => return Err(wrong()),
        };
        Ok(Self { line: line.to_string(), model: model.to_string(), what })
    }
}

/// Whether `text` is `pattern` with something in place of each `*`: a number, a letter, anything without a blank.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    let word = text.find(' ').unwrap_or(text.len());
    (0..=word).filter(|n| text.is_char_boundary(*n)).any(|n| matches(rest, &text[n..]))
}
