//! Regular expressions of JavaScript, as far as they can be judged in linear time.
//!
//! Looking around is what the engine can't do. One use of it is wide-spread and can be taken apart: conditions that all
//! begin where the text begins (`^(?=.*\d)(?!.*\s).{8,}$`). Every other look-around makes an expression unreadable.

use regex::Regex;

/// An expression that can be judged.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Must match.
    matching: Vec<Regex>,
    /// Must not match.
    against: Vec<Regex>,
}

impl Pattern {
    /// Reads an expression; it may stand between slashes.
    pub fn parse(source: &str) -> Option<Self> {
        let bare = source.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).unwrap_or(source);
        let mut pattern = Self { matching: Vec::new(), against: Vec::new() };
        // Conditions whose first begins there say the same.
        let first = bare.strip_prefix("(?=^").map(|rest| format!("^(?={rest}"));
        let bare = first.as_deref().unwrap_or(bare);
        let Some(mut rest) = bare.strip_prefix('^').filter(|rest| looks_ahead(rest).is_some()) else {
            pattern.matching.push(compile(bare)?);
            return Some(pattern);
        };
        while let Some((wanted, body)) = looks_ahead(rest) {
            let end = closing(body)?;
            let list = if wanted { &mut pattern.matching } else { &mut pattern.against };
            list.push(compile(&format!("^(?:{})", &body[..end]))?);
            rest = &body[end + 1..];
        }
        // A repeated condition, or one that is an alternative, is another thing.
        if rest.starts_with(['*', '+', '?', '{']) || alternates(rest) {
            return None;
        }
        pattern.matching.push(compile(&format!("^{rest}"))?);
        Some(pattern)
    }

    /// Does the text fit?
    pub fn fits(&self, text: &str) -> bool {
        self.matching.iter().all(|one| one.is_match(text))
            && !self.against.iter().any(|one| one.is_match(text))
    }
}

/// A condition on what follows: whether it is wanted, and what stands behind its bracket.
fn looks_ahead(text: &str) -> Option<(bool, &str)> {
    let wanted = text.strip_prefix("(?=").map(|body| (true, body));
    wanted.or_else(|| text.strip_prefix("(?!").map(|body| (false, body)))
}

/// The letters of an expression that mean something: each with its place, whether within a class, and its depth of
/// groups; escaped ones are passed over.
fn marks(text: &str) -> impl Iterator<Item = (usize, char, bool, i32)> {
    let (mut escaped, mut class, mut depth) = (false, false, 0);
    text.char_indices().filter_map(move |(at, letter)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match letter {
            '\\' => {
                escaped = true;
                return None;
            }
            '[' if !class => class = true,
            ']' if class => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth -= 1,
            _ => {}
        }
        Some((at, letter, class, depth))
    })
}

/// Where the group that is open at the begin ends.
fn closing(text: &str) -> Option<usize> {
    marks(text).find(|(_, letter, class, depth)| *letter == ')' && !class && *depth < 0).map(|(at, ..)| at)
}

/// Has alternatives outside of groups.
fn alternates(text: &str) -> bool {
    marks(text).any(|(_, letter, class, depth)| letter == '|' && !class && depth == 0)
}

/// What differs between the two languages is spelled out: the letters of `\d` and `\w`, and brackets within classes.
fn compile(source: &str) -> Option<Regex> {
    let mut text = String::with_capacity(source.len() + 16);
    let (mut class, mut letters) = (false, source.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next()? {
                'd' => text.push_str(if class { "0-9" } else { "[0-9]" }),
                'w' => text.push_str(if class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                'D' => text.push_str("[^0-9]"),
                'W' => text.push_str("[^0-9A-Za-z_]"),
                '/' => text.push('/'),
                other => text.extend(['\\', other]),
            },
            '[' if class => text.push_str("\\["),
            '[' => {
                class = true;
                text.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    text.push('^');
                }
            }
            ']' => {
                class = false;
                text.push(']');
            }
            '&' | '~' | '-' if class && letters.peek() == Some(&letter) => text.extend(['\\', letter]),
            other => text.push(other),
        }
    }
    Regex::new(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn expressions_of_javascript_are_judged() {
        for (source, fits, fails) in [
            ("^a+$", "aaa", "ab"),
            ("/^a$/", "a", "b"),
            (r"^\d+$", "12", "١٢"),
            (r"^[\w.-]+@[\w-]+\.\w+$", "a.b@c.de", "a b@c.de"),
            (r"[^\s@]+@[^\s@]+", "a@b", "a@ b"),
            (r"^https?:\/\/", "https://x", "ftp://x"),
            ("^[[a]$", "[", "b"),
            (r"^(?=.*\d)(?=.*[A-Z])(?!.*\s).{4,}$", "abC1", "abc1"),
            (r"^(?=.*[)(]).+$", "a)", "a"),
            // What the original's app offers for strong passwords.
            (
                r"/(?=^.{8,}$)(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[!@#$%^&*()_+}{';'?>.<,])(?!.*\s).*$/",
                "Passw0rd!",
                "passw0rd!",
            ),
            ("^(?!admin).*$", "user", "admin2"),
            ("x|y", "y", "z"),
        ] {
            let pattern = Pattern::parse(source).unwrap_or_else(|| panic!("{source}"));
            assert!(pattern.fits(fits), "{source} {fits}");
            assert!(!pattern.fits(fails), "{source} {fails}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_not_read() {
        for source in ["(", "[", r"(a)\1", "a(?=b)", "(?<=a)b", "^(?=a)|b", "^(?=a", "\\", "^(?=a)*b"] {
            assert!(Pattern::parse(source).is_none(), "{source}");
        }
    }
}
