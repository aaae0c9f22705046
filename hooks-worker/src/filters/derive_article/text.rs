//! What can be said of an article's text: its words, the time it takes, and its beginning.

/// Longest excerpt, in characters, with its ellipsis.
pub const EXCERPT: usize = 160;

/// Words that are read in a minute.
const WORDS_PER_MINUTE: u64 = 200;

/// Elements that stand inside a word or sentence; all others separate words.
const INLINE: [&str; 22] = [
    "a", "abbr", "b", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "label", "mark", "q", "s",
    "small", "span", "strong", "sub", "sup", "time", "u",
];

/// The text without tags, comments, scripts and styles, with single spaces. Entities stay as they are but
/// `&nbsp;`, so that the result is as safe in a page as its source: it never holds the beginning of a tag.
pub fn plain(source: &str) -> String {
    let mut text = Plain::default();
    let mut rest = source;
    while let Some(at) = rest.find('<') {
        text.push(&rest[..at]);
        rest = &rest[at..];
        match markup(rest) {
            Some(found) => {
                if found.separates {
                    text.space();
                }
                rest = &rest[found.length..];
            }
            None => {
                text.less_than(&rest[1..]);
                rest = &rest[1..];
            }
        }
    }
    text.push(rest);
    text.0.truncate(text.0.trim_end().len());
    text.0
}

/// Parts between spaces that hold a letter or digit.
pub fn words(plain: &str) -> u64 {
    let count = plain.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
    count.try_into().unwrap_or(u64::MAX)
}

/// Minutes that so many words take, rounded up: 0 only for none.
pub fn minutes(words: u64) -> u64 {
    words.div_ceil(WORDS_PER_MINUTE)
}

/// The beginning of a text, cut between words, with `…` when something is left out. At most [`EXCERPT`]
/// characters; a first word that is longer is cut itself.
pub fn excerpt(plain: &str) -> String {
    let Some((full, _)) = plain.char_indices().nth(EXCERPT) else { return plain.to_owned() };
    let room = plain.char_indices().nth(EXCERPT - 1).map_or(full, |(at, _)| at);
    let head = &plain[..room];
    let whole_word = plain[room..].starts_with(char::is_whitespace);
    let cut = if whole_word { room } else { head.rfind(char::is_whitespace).unwrap_or(room) };
    format!("{}…", head[..cut].trim_end())
}

#[derive(Default)]
struct Plain(String);

impl Plain {
    fn push(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("&nbsp;") {
                self.space();
                rest = after;
                continue;
            }
            if c.is_whitespace() || c.is_control() {
                self.space()
            } else {
                self.0.push(c)
            }
            rest = &rest[c.len_utf8()..];
        }
    }

    fn space(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with(' ') {
            self.0.push(' ');
        }
    }

    /// A `<` that begins no tag stays only where it can't begin one when tags behind it are gone.
    fn less_than(&mut self, after: &str) {
        if after.starts_with(|c: char| c.is_whitespace() || c.is_ascii_digit() || c == '=') {
            self.0.push('<');
        }
    }
}

struct Markup {
    length: usize,
    separates: bool,
}

/// The tag, comment or element without text that a source begins with. What is not closed reaches to the end.
fn markup(source: &str) -> Option<Markup> {
    if let Some(comment) = source.strip_prefix("<!--") {
        let length = comment.find("-->").map_or(source.len(), |at| "<!--".len() + at + "-->".len());
        return Some(Markup { length, separates: false });
    }
    let inner = source.strip_prefix('<')?;
    let closing = inner.starts_with('/');
    let named = inner.strip_prefix('/').unwrap_or(inner);
    if !named.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '?')) && !closing {
        return None;
    }
    let name: String =
        named.chars().take_while(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let tag = tag_length(source);
    let length = if !closing && matches!(name.as_str(), "script" | "style") {
        tag + hidden_length(&source[tag..], &name)
    } else {
        tag
    };
    Some(Markup { length, separates: !INLINE.contains(&name.as_str()) })
}

/// Bytes of a tag with its brackets; a `>` within a quoted attribute does not end it.
fn tag_length(source: &str) -> usize {
    let mut quote = None;
    for (at, c) in source.char_indices().skip(1) {
        match (quote, c) {
            (None, '>') => return at + 1,
            // A quote counts only as an attribute's value: "<p>it's" has a tag without one.
            (None, '"' | '\'') if source[..at].trim_end().ends_with('=') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    source.len()
}

/// Bytes from behind an opening tag to behind its closing one.
fn hidden_length(source: &str, name: &str) -> usize {
    let closes = |at: &usize| {
        let end = source.as_bytes().get(at + 2..at + 2 + name.len());
        end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
    };
    let close = source.match_indices("</").map(|(at, _)| at).find(closes);
    close.map_or(source.len(), |at| at + tag_length(&source[at..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EXCERPT, excerpt, minutes, plain, words};

    #[test]
    fn tags_are_stripped() {
        for (source, expected) in [
            ("plain  text\n here", "plain text here"),
            ("<p>One</p><p>two</p>", "One two"),
            ("a <b>bo</b>ld word", "a bold word"),
            ("x<br/>y<br>z", "x y z"),
            ("<script>alert('<p>')</script>after<STYLE>p{}</STYLE>!", "after !"),
            ("<img alt=\"a > b\" src=x>behind", "behind"),
            ("<!-- <p>not this</p> -->this", "this"),
            ("1 < 2 and 3<4 and a<=b", "1 < 2 and 3<4 and a<=b"),
            ("<<b>script>alert(1)</script>", "script>alert(1)"),
            ("a&nbsp;b &amp; c", "a b &amp; c"),
            ("cut <a href=\"x", "cut"),
            ("<p>it's</p> <p>it's</p>", "it's it's"),
        ] {
            assert_eq!(plain(source), expected, "{source}");
        }
    }

    #[test]
    fn words_and_minutes_are_counted() {
        for (text, count, time) in [("", 0, 0), ("- — !", 0, 0), ("one", 1, 1), ("it's two", 2, 1)] {
            assert_eq!((words(text), minutes(words(text))), (count, time), "{text}");
        }
        assert_eq!((minutes(200), minutes(201), minutes(1000)), (1, 2, 5));
    }

    #[test]
    fn excerpts_end_between_words() {
        assert_eq!(excerpt("short"), "short");
        let exact = "a".repeat(EXCERPT);
        assert_eq!(excerpt(&exact), exact);
        let long = "word ".repeat(60);
        let cut = excerpt(&long);
        assert!(cut.ends_with("word…") && cut.chars().count() <= EXCERPT, "{cut}");
        assert_eq!(excerpt(&"ö".repeat(500)).chars().count(), EXCERPT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn an_excerpt_is_a_short_beginning(source in any::<String>()) {
            let plain = plain(&source);
            let excerpt = excerpt(&plain);
            prop_assert!(excerpt.chars().count() <= EXCERPT);
            prop_assert!(plain.starts_with(excerpt.trim_end_matches('…')) || excerpt == plain);
            prop_assert_eq!(excerpt.is_empty(), plain.is_empty());
        }

        #[test]
        fn no_tag_survives(source in "([<>/!?='\"a-c ]|<b>|</b>|script|&nbsp;|<!--|-->){0,60}") {
            let plain = plain(&source);
            let bytes = plain.as_bytes();
            for pair in bytes.windows(2) {
                let tag = pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]));
                prop_assert!(!tag, "{:?} from {:?}", plain, source);
            }
            prop_assert!(!plain.contains("  ") && plain.trim() == plain);
        }

        #[test]
        fn words_of_a_long_text_fill_the_excerpt(words in proptest::collection::vec("[a-z]{1,12}", 60..90)) {
            let text = words.join(" ");
            let cut = excerpt(&text);
            let body = cut.trim_end_matches('…');
            prop_assert!(text.len() <= EXCERPT || text[body.len()..].starts_with(' '), "{}", cut);
            prop_assert!(text.len() <= EXCERPT || cut.chars().count() > EXCERPT - 14);
        }
    }
}
